# pg_kpi: build, install and test with PGXS.  `make help` lists the targets.

all:

# Where this file is: make names files with "." in front of them, so that a path
# with a space does no harm, unless one builds in another directory (VPATH).
TOP := $(patsubst %/,%,$(or $(VPATH),$(dir $(firstword $(MAKEFILE_LIST)))))
ifeq ($(wildcard $(TOP)/META.json),)
$(error to build outside of the sources they must be in a path without spaces; "$(TOP)" is none)
endif
ifneq ($(filter-out . $(CURDIR),$(TOP)),)
ifneq ($(wildcard $(TOP)/.built_for),)
$(error make would mix up two builds, as one is in the sources: make -C $(TOP) clean)
endif
endif

EXTENSION = pg_kpi
MODULE_big = pg_kpi
EXTVERSION := $(shell sed -n 's/^[[:space:]]*"version":[[:space:]]*"\([0-9.]*\)",.*/\1/p' $(TOP)/META.json | head -n 1)

# Each folder of src/ but sql is a room (src/README).
OBJS = $(patsubst $(TOP)/%.c,%.o,$(sort $(wildcard $(TOP)/src/*/*.c)))
ROOM_HEADERS = $(wildcard $(TOP)/src/*/*.h)
SQL_PARTS = $(sort $(wildcard $(TOP)/src/sql/[0-9][0-9]_*.sql))
DATA = $(patsubst $(TOP)/%,%,$(wildcard $(TOP)/src/sql/upgrade/$(EXTENSION)--*--*.sql))
DATA_built = $(EXTENSION)--$(EXTVERSION).sql

# A warning of tomorrow's compiler is no error: WERROR=1 is for those who work on
# pg_kpi.  A server that gcc built passes on flags, and has attributes in its
# headers, that clang does not know.
KPI_WARNINGS = -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-cast-function-type \
	$(if $(WERROR),-Werror)
KPI_CLANG_FLAGS = $(if $(findstring clang,$(shell $(CC) --version)),\
	-Wno-unknown-warning-option -Wno-ignored-optimization-argument -Wno-ignored-attributes)
# 15 declares functions without their arguments, which C23 takes for none.
KPI_STANDARD = $(if $(filter 15,$(PG_MAJOR)),-std=gnu11)
PG_CPPFLAGS = -DKPI_VERSION='"$(EXTVERSION)"' -Isrc -I$(TOP)/src
PG_CFLAGS = $(KPI_STANDARD) $(KPI_WARNINGS) $(KPI_CLANG_FLAGS)

# The CRM export that tests "..._crm" load is not part of the project.
KPI_CRM_DATA ?= ../shared/data/crm
export KPI_CRM_DATA
REGRESS_SKIPPED = $(if $(wildcard $(KPI_CRM_DATA)/sales_pipeline.csv),,$(patsubst $(TOP)/sql/%.sql,%,$(wildcard $(TOP)/sql/*_crm.sql)))
REGRESS = $(filter-out $(REGRESS_SKIPPED),$(patsubst $(TOP)/sql/%.sql,%,$(sort $(wildcard $(TOP)/sql/*.sql))))
REGRESS_OPTS = --inputdir=$(TOP) --load-extension=pg_kpi
ISOLATION = $(patsubst $(TOP)/test/isolation/specs/%.spec,%,$(sort $(wildcard $(TOP)/test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=$(TOP)/test/isolation --outputdir=output_iso --load-extension=pg_kpi
# TAP tests start servers of their own, which root may not: test/run runs them.

EXTRA_CLEAN = $(EXTENSION)--$(EXTVERSION).sql src/base/condition_names.h .built_for output_iso \
	$(addprefix test/module/kpi_test,.o .so .bc)

PG_CONFIG ?= pg_config
PG_VERSION := $(shell $(PG_CONFIG) --version 2>/dev/null)
PG_MAJOR := $(shell echo '$(PG_VERSION)' | sed 's/^PostgreSQL \([0-9]*\).*/\1/')
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
OTHER_CONFIG = name another: make PG_CONFIG=/path/to/pg_config
ifeq ($(PG_VERSION),)
PG_PROBLEM = no PostgreSQL to build for, as there is no $(PG_CONFIG): \
	install its headers (Debian 12: postgresql-server-dev-15) or $(OTHER_CONFIG)
else ifneq ($(filter 7 8 9 10 11 12 13 14,$(PG_MAJOR)),)
PG_PROBLEM = $(PG_VERSION) is too old, pg_kpi needs 15 or later: install one with its headers and $(OTHER_CONFIG)
else ifeq ($(PGXS),)
PG_PROBLEM = $(PG_VERSION) of $(PG_CONFIG) has no headers: \
	install them (Debian: postgresql-server-dev-$(PG_MAJOR)) or $(OTHER_CONFIG)
endif

ifdef PG_PROBLEM
all install installcheck clean:
	$(error $(PG_PROBLEM))
else
installdirs: check-rights
installcheck: check-server
include $(PGXS)
endif

# Rights in the directories that are there; a package's root has none of them.
check-rights:
	@for dir in '$(DESTDIR)$(pkglibdir)' '$(DESTDIR)$(datadir)/extension'; do \
		test ! -d "$$dir" || test -w "$$dir" || { \
			echo "you may not write into $$dir: sudo make install, or make install DESTDIR=..." >&2; exit 1; }; \
	done

# The server that psql finds by itself must be the one that was built for.
check-server:
ifeq ($(EXTRA_REGRESS_OPTS),)
	@is=$$('$(bindir)/psql' -XAtq -d postgres -c "SELECT current_setting('server_version_num')::integer / 10000, \
		(SELECT count(*) FROM pg_catalog.pg_available_extension_versions \
		WHERE name = '$(EXTENSION)' AND version = '$(EXTVERSION)')" 2>&1); \
	case $$is in \
		'$(PG_MAJOR)|1') ;; \
		'$(PG_MAJOR)|0') echo 'the running server has no $(EXTENSION) $(EXTVERSION): make install' >&2; exit 1 ;; \
		[0-9]*'|'*) echo "the running server is PostgreSQL $${is%|*}, not $(PG_MAJOR), which this is built for:" \
			'set PGPORT, or make PG_CONFIG=/path/to/its/pg_config' >&2; exit 1 ;; \
		*) printf '%s\n' "no server to test on: start one, or set PGHOST, PGPORT and PGUSER ($$is)" | \
			tr '\n\t' '  ' >&2; echo >&2; exit 1 ;; \
	esac
endif

# Each object and its bitcode are made anew with any header, for simplicity, and
# for another PostgreSQL or compiler than before.
$(OBJS) $(OBJS:.o=.bc): $(ROOM_HEADERS) .built_for
BUILT_FOR := $(shell $(PG_CONFIG) --version --configure 2>/dev/null) $(CC)
ifneq ($(shell cat .built_for 2>/dev/null),$(BUILT_FOR))
.built_for: FORCE
	@mkdir -p $(sort $(dir $(OBJS)))
	$(file >$@,$(BUILT_FOR))
endif

# Has the version.
src/base/extension.o src/base/extension.bc src/ops/init.o src/ops/init.bc src/ops/health.o src/ops/health.bc: $(TOP)/META.json

# The names of conditions, as PL/pgSQL has them, from the names of their macros.
src/base/error_text.o src/base/error_text.bc: src/base/condition_names.h
ifndef PG_PROBLEM
src/base/condition_names.h: $(shell $(PG_CONFIG) --includedir-server)/utils/errcodes.h | .built_for
endif
	awk -F "'" 'BEGIN { print "static const struct { const char *sqlstate, *name; } condition_names[] = {" } \
		/^#define ERRCODE_[A-Z0-9_]* MAKE_SQLSTATE/ && !seen[$$2 $$4 $$6 $$8 $$10]++ { \
			split($$1, word, " "); name = tolower(substr(word[2], 9)); sub(/^([a-z]_)+/, "", name); \
			printf "\t{\"%s\", \"%s\"},\n", $$2 $$4 $$6 $$8 $$10, name } \
		END { print "};" }' $< > $@

# Each part opens with a header comment; the guard keeps psql from running the script directly.
$(EXTENSION)--$(EXTVERSION).sql: $(SQL_PARTS) $(TOP)/META.json
	printf '%s\n' '\echo Use "CREATE EXTENSION pg_kpi" to load this file. \quit' > $@
	cat $(SQL_PARTS) >> $@

ifneq ($(REGRESS_SKIPPED),)
installcheck: report-skipped
report-skipped:
	@printf 'skipped: %s (data not found)\n' $(REGRESS_SKIPPED)
endif

test:
	@test/run

demo:
	@test/demo/run

demo-stop:
	@test/demo/run --stop

soak:
	@test/soak/run $(SOAK)

bench:
	@test/bench/run $(BENCH)

format:
	@test/format

# What is committed, as PGXN takes it.
DIST = $(EXTENSION)-$(EXTVERSION).zip
dist:
	git -C $(TOP) archive --format=zip --prefix=$(EXTENSION)-$(EXTVERSION)/ -o '$(DIST)' HEAD

# For the scripts: what a variable here holds.
print-%:
	@printf '%s\n' '$($*)'

help:
	@echo 'make               build for the PostgreSQL of PG_CONFIG (default: pg_config)'
	@echo 'make install       install into it'
	@echo 'make installcheck  regression and isolation tests on a running server'
	@echo 'make test          install what is missing, build, run every test on a private copy of the server'
	@echo 'make demo          the same set-up, then a made-up CRM to look at; make demo-stop removes it'
	@echo 'make bench         figures on a private server; BENCH="--quick" for a smaller size'
	@echo 'make dist          a zip of what is committed, as PGXN takes it'
	@echo 'make format        lay out the C sources as PostgreSQL does (package pg-bsd-indent)'
	@echo 'make soak          ten minutes of writers, kills and crashes; SOAK="--seconds 60" for less'

.PHONY: test demo demo-stop bench soak format dist help report-skipped check-rights check-server FORCE

# no half of a script or header
.DELETE_ON_ERROR:

# pg_kpi: build, install and test with PGXS.  `make help` lists the targets.

EXTENSION = pg_kpi
MODULE_big = pg_kpi
EXTVERSION = $(shell sed -n 's/^[[:space:]]*"version":[[:space:]]*"\([0-9.]*\)",.*/\1/p' META.json | head -n 1)

# Each folder of src/ but sql is a room (src/README).
OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*/*.c)))
ROOM_HEADERS = $(wildcard src/*/*.h)
SQL_PARTS = $(sort $(wildcard src/sql/[0-9][0-9]_*.sql))
DATA_built = $(EXTENSION)--$(EXTVERSION).sql

KPI_WARNINGS = -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-cast-function-type -Werror
PG_CPPFLAGS = -DKPI_VERSION='"$(EXTVERSION)"' -I$(srcdir)/src
PG_CFLAGS = $(KPI_WARNINGS)

# The CRM export that tests "..._crm" load is not part of the project.
KPI_CRM_DATA ?= ../shared/data/crm
export KPI_CRM_DATA
REGRESS_SKIPPED = $(if $(wildcard $(KPI_CRM_DATA)/sales_pipeline.csv),,$(patsubst sql/%.sql,%,$(wildcard sql/*_crm.sql)))
REGRESS = $(filter-out $(REGRESS_SKIPPED),$(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql))))
REGRESS_OPTS = --inputdir=. --load-extension=pg_kpi
ISOLATION = $(patsubst test/isolation/specs/%.spec,%,$(sort $(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test/isolation --outputdir=output_iso --load-extension=pg_kpi
# TAP tests start servers of their own, which root may not: test/run runs them.

EXTRA_CLEAN = $(EXTENSION)--$(EXTVERSION).sql src/base/condition_names.h output_iso \
	$(addprefix test/module/kpi_test,.o .so .bc)

PG_CONFIG ?= pg_config
PGXS := $(wildcard $(shell $(PG_CONFIG) --pgxs 2>/dev/null))
ifneq ($(PGXS),)
include $(PGXS)
else
all install installcheck clean:
	@echo 'No PostgreSQL to build for: install its development package (Debian 12: postgresql-server-dev-15)' >&2
	@echo 'or name its pg_config: make PG_CONFIG=/path/to/pg_config' >&2
	@false
endif

$(OBJS) $(OBJS:.o=.bc): $(ROOM_HEADERS)

# The names of conditions, as PL/pgSQL has them, from the names of their macros.
src/base/error_text.o src/base/error_text.bc: src/base/condition_names.h
src/base/condition_names.h: $(shell $(PG_CONFIG) --includedir-server)/utils/errcodes.h
	awk -F "'" 'BEGIN { print "static const struct { const char *sqlstate, *name; } condition_names[] = {" } \
		/^#define ERRCODE_[A-Z0-9_]* MAKE_SQLSTATE/ && !seen[$$2 $$4 $$6 $$8 $$10]++ { \
			split($$1, word, " "); name = tolower(substr(word[2], 9)); sub(/^([a-z]_)+/, "", name); \
			printf "\t{\"%s\", \"%s\"},\n", $$2 $$4 $$6 $$8 $$10, name } \
		END { print "};" }' $< > $@

# Each part opens with a header comment; the guard keeps psql from running the script directly.
$(EXTENSION)--$(EXTVERSION).sql: $(SQL_PARTS) META.json
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

# For the scripts: what a variable here holds.
print-%:
	@printf '%s\n' '$($*)'

help:
	@echo 'make               build for the PostgreSQL of PG_CONFIG (default: pg_config)'
	@echo 'make install       install into it'
	@echo 'make installcheck  regression and isolation tests on a running server'
	@echo 'make test          set up this machine, build, run every test on a private copy of the server'
	@echo 'make demo          the same set-up, then a made-up CRM to look at; make demo-stop removes it'
	@echo 'make bench         figures on a private server; BENCH="--quick" for a smaller size'
	@echo 'make format        lay out the C sources as PostgreSQL does (package pg-bsd-indent)'
	@echo 'make soak          ten minutes of writers, kills and crashes; SOAK="--seconds 60" for less'

.PHONY: test demo demo-stop bench soak format help report-skipped

# pg_kpi: build, install and test with PGXS.  `make help` lists the targets.

EXTENSION = pg_kpi
MODULE_big = pg_kpi
EXTVERSION = $(shell sed -n 's/^[[:space:]]*"version":[[:space:]]*"\([0-9.]*\)",.*/\1/p' META.json | head -n 1)

OBJS = $(patsubst %.c,%.o,$(sort $(wildcard src/*.c)))
SQL_PARTS = $(sort $(wildcard src/sql/[0-9][0-9]_*.sql))
DATA_built = $(EXTENSION)--$(EXTVERSION).sql

PG_CPPFLAGS = -DKPI_VERSION='"$(EXTVERSION)"' -I$(CURDIR)/src
PG_CFLAGS = -Wextra -Wno-unused-parameter -Wno-sign-compare -Wno-missing-field-initializers -Wno-cast-function-type -Werror

REGRESS = $(patsubst sql/%.sql,%,$(sort $(wildcard sql/*.sql)))
REGRESS_OPTS = --inputdir=. --load-extension=pg_kpi
ISOLATION = $(patsubst test/isolation/specs/%.spec,%,$(sort $(wildcard test/isolation/specs/*.spec)))
ISOLATION_OPTS = --inputdir=test/isolation --outputdir=test/isolation/output --load-extension=pg_kpi
TAP_TESTS = 0

EXTRA_CLEAN = $(EXTENSION)--$(EXTVERSION).sql

PG_CONFIG ?= pg_config
PGXS := $(shell $(PG_CONFIG) --pgxs)
ifneq ($(PGXS),)
include $(PGXS)
endif

$(OBJS): $(wildcard src/*.h)

# Each part opens with a header comment; the guard keeps psql from running the script directly.
$(EXTENSION)--$(EXTVERSION).sql: $(SQL_PARTS) META.json
	printf '%s\n' '\echo Use "CREATE EXTENSION pg_kpi" to load this file. \quit' > $@
	cat $(SQL_PARTS) >> $@

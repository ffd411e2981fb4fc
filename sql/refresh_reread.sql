-- Keyed sources that nothing follows: their query is run again.
SET client_min_messages = warning;
CREATE SCHEMA reread;
CREATE TABLE reread.invoice (id integer PRIMARY KEY, paid_on date, amount numeric, updated_at timestamptz DEFAULT now());
INSERT INTO reread.invoice SELECT i, date '2026-01-01' + i, i, timestamptz '2026-01-01' + i * interval '1 minute' FROM generate_series(1, 50) i;
CREATE MATERIALIZED VIEW reread.invoices AS SELECT id, paid_on, amount FROM reread.invoice;

SELECT kpi.create_source('invoices', key => 'id', at => 'paid_on', query => 'SELECT id, paid_on, amount FROM reread.invoices');
SELECT kpi.create_kpi('paid', source => 'invoices', measure => 'sum(amount)');
SELECT refresh_mode FROM kpi.source;
CREATE VIEW reread.paid AS SELECT sum(value) AS value FROM kpi.team_monthly WHERE kpi = 'paid' AND team = 'company';
CALL kpi.refresh('invoices');
TABLE reread.paid;
UPDATE reread.invoice SET amount = amount + 100 WHERE id <= 10;
REFRESH MATERIALIZED VIEW reread.invoices;

-- Only what is named; then all.
CALL kpi.refresh('invoices', entities => '{1, 2}');
TABLE reread.paid;
SELECT entities_read FROM kpi.source_status;
CALL kpi.refresh('invoices', entities => '{nobody}');
CALL kpi.refresh(NULL, entities => '{1}');
CALL kpi.refresh('invoices');
TABLE reread.paid;
SELECT kept_rows, entities_read, as_of = read_at AS is_as_of_reading FROM kpi.source_status;
SELECT count(*) FROM kpi.verify('invoices');

-- As of the last reading, whatever else a refresh does.
SELECT kpi.create_kpi('invoices', source => 'invoices', measure => 'count(*)');

-- A reading that fails keeps the numbers; an empty one does not.
CREATE FUNCTION reread.broken() RETURNS boolean STABLE LANGUAGE plpgsql AS $$ BEGIN RAISE 'no connection'; END $$;
CREATE OR REPLACE VIEW reread.remote AS SELECT id, paid_on, amount FROM reread.invoice;
SELECT kpi.create_source('remote', key => 'id', at => 'paid_on', query => 'SELECT id, paid_on, amount FROM reread.remote');
SELECT kpi.create_kpi('remote', source => 'remote', measure => 'sum(amount)');
CALL kpi.refresh('remote');
CREATE OR REPLACE VIEW reread.remote AS SELECT id, paid_on, amount FROM reread.invoice WHERE reread.broken();
CALL kpi.refresh('remote');
SELECT sum(value) FROM kpi.team_monthly WHERE kpi = 'remote' AND team = 'company';
CREATE OR REPLACE VIEW reread.remote AS SELECT id, paid_on, amount FROM reread.invoice WHERE false;
CALL kpi.refresh('remote');
SELECT count(*) FROM kpi.team_monthly WHERE kpi = 'remote' AND team = 'company';

-- Only what is newer; what was deleted is found when all is read.
SELECT kpi.create_source('newer', key => 'id', at => 'paid_on', query => 'SELECT id, paid_on, amount, updated_at FROM reread.invoice',
                         changed_at => 'updated_at', full_every => '1 day');
SELECT kpi.create_kpi('newer', source => 'newer', measure => 'sum(amount)');
CALL kpi.refresh('newer');
UPDATE reread.invoice SET amount = 1, updated_at = timestamptz '2026-02-01' WHERE id = 50;
DELETE FROM reread.invoice WHERE id = 49;
CALL kpi.refresh('newer');
SELECT entities_read, kept_rows FROM kpi.source_status WHERE source = 'newer';
SELECT sum(value) FROM kpi.team_monthly WHERE kpi = 'newer' AND team = 'company';
SELECT kpi.repair('newer') >= 0;
SELECT sum(value) FROM kpi.team_monthly WHERE kpi = 'newer' AND team = 'company';
SELECT sum(amount) FROM reread.invoice;
SELECT kpi.create_source('x', key => 'id', at => 'paid_on', query => 'SELECT id, paid_on FROM reread.invoice', full_every => '1 day');
SELECT kpi.create_source('x', key => 'id', at => 'paid_on', query => 'SELECT id, paid_on FROM reread.invoice', changed_at => 'updated_at');
SELECT kpi.create_source('x', key => 'id', at => 'paid_on', query => 'SELECT id, paid_on, updated_at FROM reread.invoice',
                         changed_at => 'updated_at', follow => '{"reread.invoice": "id"}');

-- Another server.
CREATE EXTENSION postgres_fdw;
DO $$ BEGIN EXECUTE format('CREATE SERVER reread FOREIGN DATA WRAPPER postgres_fdw OPTIONS (dbname %L, port %L, host %L)',
    current_database(), current_setting('port'), split_part(current_setting('unix_socket_directories'), ',', 1)); END $$;
CREATE USER MAPPING FOR current_user SERVER reread;
CREATE FOREIGN TABLE reread.far (id integer, paid_on date, amount numeric) SERVER reread OPTIONS (schema_name 'reread', table_name 'invoice');
SELECT kpi.create_source('far', key => 'id', at => 'paid_on', query => 'SELECT id, paid_on, amount FROM reread.far');
SELECT kpi.create_kpi('far', source => 'far', measure => 'sum(amount)');
CALL kpi.refresh('far');
SELECT sum(value) FROM kpi.team_monthly WHERE kpi = 'far' AND team = 'company';
UPDATE reread.invoice SET amount = 7 WHERE id = 3;
CALL kpi.refresh('far');
SELECT sum(value) FROM kpi.team_monthly WHERE kpi = 'far' AND team = 'company';
SELECT sum(amount) FROM reread.invoice;
SELECT count(*) FROM kpi.verify('far');

SELECT kpi.drop_source(name, cascade => true) FROM kpi.source ORDER BY id;
DROP EXTENSION postgres_fdw CASCADE;
DROP SCHEMA reread CASCADE;

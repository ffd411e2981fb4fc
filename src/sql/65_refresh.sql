-- 65_refresh: running the engine.

CREATE PROCEDURE kpi.refresh(source text DEFAULT NULL, entities text[] DEFAULT NULL)
LANGUAGE c
AS 'MODULE_PATHNAME', 'kpi_sql_refresh';
COMMENT ON PROCEDURE kpi.refresh(text, text[]) IS
'Brings the rollups of a source, or of every source that is not paused, up to this moment: applies what was captured, follows changes of the organisation, builds new KPIs from the facts, newest months first. Called by itself, outside of a transaction and not by other code, it commits after each step of a build (kpi.build_step), so that others have their turn; it can be stopped at any time and goes on with the next refresh. Works inside a transaction of isolation level read committed and sees its own changes. Of every source: an error that ends the refresh of one is a warning, is shown in kpi.source_status and leaves that source as it was; the others go on. Of a KPI that was made or changed a NOTICE says, once, when more than one in twenty of its facts count for nothing, or none counts (kpi.left_out). A keyed source that is not followed has its query run again; of the entities that are named only, as texts (a row of columns as (a,b)). Errors: source unknown or paused; entities of a source that is not keyed, or that are not of the type of its entity; another isolation level';

CREATE FUNCTION kpi.verify(source text DEFAULT NULL, since date DEFAULT NULL, until date DEFAULT NULL)
RETURNS TABLE (source_name text, level text, kpi text, scope text, grain text, period_start date,
               dimension text, dimension_value text, stored text, expected text)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'kpi_sql_verify';
COMMENT ON FUNCTION kpi.verify(text, date, date) IS
'Refreshes a source, or every source, then recomputes everything from the facts, or the months in which the days from since to before until are, and returns each cell and place that differs, with the KPIs whose part of the cell does. No rows: exact. Of some months it looks at day cells, days and months, not at which longer periods there are. A source that is suspended, paused, or waits for kpi.capture is left as it is and returns one row of level source. On a standby and in a READ ONLY transaction nothing is written and nobody waits: what is in the queue is added up in memory, what else a refresh would follow first is told in a NOTICE, and a source whose facts are to be read returns a row of level source. Errors: source unknown; a transaction of isolation level repeatable read or serializable; until not after since';

CREATE FUNCTION kpi.repair(source text, since date DEFAULT NULL, until date DEFAULT NULL)
RETURNS bigint
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'kpi_sql_repair';
COMMENT ON FUNCTION kpi.repair(text, date, date) IS
'Refreshes a source, recomputes everything from the facts, or the months in which the days from since to before until are, mends each cell and place that differs, and returns how many did. Errors: source unknown, suspended or paused; until not after since';

-- 65_refresh: running the engine.

CREATE PROCEDURE kpi.refresh(source text DEFAULT NULL)
LANGUAGE c
AS 'MODULE_PATHNAME', 'kpi_refresh';
COMMENT ON PROCEDURE kpi.refresh(text) IS
'Brings the rollups of a source, or of every source, up to this moment: applies what was captured, follows changes of the organisation, builds new KPIs from the facts. Works inside a transaction of isolation level read committed and sees its own changes; raises an error in others.';

CREATE FUNCTION kpi.verify(source text DEFAULT NULL)
RETURNS TABLE (source_name text, level text, kpi text, scope text, grain text, period_start date,
               dimension text, dimension_value text, stored text, expected text)
LANGUAGE c VOLATILE
AS 'MODULE_PATHNAME', 'kpi_verify';
COMMENT ON FUNCTION kpi.verify(text) IS
'Refreshes a source, or every source, then recomputes everything from the facts and returns each cell and value that differs. No rows: exact. A suspended source returns one row of level source.';

CREATE FUNCTION kpi.repair(source text)
RETURNS bigint
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'kpi_repair';
COMMENT ON FUNCTION kpi.repair(text) IS
'Refreshes a source, recomputes everything from the facts, mends each cell and value that differs, and returns how many did. Raises an error when the source is suspended.';

CREATE FUNCTION kpi.resume(source text)
RETURNS void
LANGUAGE c VOLATILE STRICT
AS 'MODULE_PATHNAME', 'kpi_resume';
COMMENT ON FUNCTION kpi.resume(text) IS
'Attaches the capture of a suspended source again and rebuilds it from the facts of the table that now has its name. Raises an error when there is no such table.';

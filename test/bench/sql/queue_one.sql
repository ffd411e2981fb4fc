-- One fact of the source that is refreshed comes.
INSERT INTO busy VALUES ('o1', '2026-03-05', 10, 'p1');
\ir on.sql
\warn @time :label
CALL kpi.refresh('busy');
\ir off.sql

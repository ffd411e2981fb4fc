-- Estimated, built, a thousand facts changed. What the facts' own table needs is measured before capture is there.
SET client_min_messages = warning;
CREATE TEMP VIEW cpu AS SELECT (split_part(s, ' ', 14)::integer + split_part(s, ' ', 15)::integer) / 100.0 AS seconds FROM pg_read_file('/proc/self/stat') s;
CREATE TEMP TABLE changed AS SELECT id FROM deals ORDER BY hashint4(id) LIMIT 1000;
SELECT pg_current_wal_insert_lsn() AS lsn \gset
UPDATE deals SET amount = amount + 1 WHERE id IN (SELECT id FROM changed);
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), :'lsn') AS own \gset

SELECT facts, day_cells + rollup_cells AS estimated_cells, bytes AS estimated_bytes, wal_bytes_per_change AS estimated_wal, build_seconds AS estimated_seconds
  FROM kpi.estimate_source('deals', relation => 'deals', key => 'id', owner => 'owner_id', at => 'closed_at', dimensions => :'dimensions', measures => :measures) \gset

SELECT kpi.create_source('deals', relation => 'deals', key => 'id', owner => 'owner_id', at => 'closed_at', dimensions => :'dimensions');
SELECT kpi.create_kpi('kpi ' || n, source => 'deals', measure => m) FROM unnest(:measures) WITH ORDINALITY u (m, n);
SELECT clock_timestamp() AS began, seconds AS cpu, pg_current_wal_insert_lsn() AS lsn FROM cpu \gset
CALL kpi.refresh();
SELECT extract(epoch FROM clock_timestamp() - :'began') AS seconds, seconds - :cpu AS cpu, pg_wal_lsn_diff(pg_current_wal_insert_lsn(), :'lsn') / 1e6 AS build_wal FROM cpu \gset
SELECT (SELECT count(*) FROM kpi_internal.day_cell) + (SELECT count(*) FROM kpi_internal.rollup_cell) AS cells,
       pg_total_relation_size('kpi_internal.day_cell') + pg_total_relation_size('kpi_internal.rollup_cell') AS bytes \gset
SELECT :bytes / :cells AS cell_bytes \gset

SELECT pg_current_wal_insert_lsn() AS lsn \gset
UPDATE deals SET amount = amount + 1 WHERE id IN (SELECT id FROM changed);
SELECT (pg_wal_lsn_diff(pg_current_wal_insert_lsn(), :'lsn') - :own) / 1000 AS writer_wal, pg_current_wal_insert_lsn() AS lsn \gset
CALL kpi.refresh();
SELECT pg_wal_lsn_diff(pg_current_wal_insert_lsn(), :'lsn') / 1000 AS refresh_wal \gset

\set label_facts :label _facts
\warn @is :label_facts :facts
\set label_estimated_cells :label _estimated_cells
\warn @is :label_estimated_cells :estimated_cells
\set label_cells :label _cells
\warn @is :label_cells :cells
\set label_cell_bytes :label _cell_bytes
\warn @is :label_cell_bytes :cell_bytes
\set label_estimated_bytes :label _estimated_bytes
\warn @is :label_estimated_bytes :estimated_bytes
\set label_bytes :label _bytes
\warn @is :label_bytes :bytes
\set label_estimated_wal :label _estimated_wal
\warn @is :label_estimated_wal :estimated_wal
\set label_writer_wal :label _writer_wal
\warn @is :label_writer_wal :writer_wal
\set label_refresh_wal :label _refresh_wal
\warn @is :label_refresh_wal :refresh_wal
\set label_estimated_seconds :label _estimated_seconds
\warn @is :label_estimated_seconds :estimated_seconds
\set label_seconds :label _seconds
\warn @is :label_seconds :seconds
\set label_cpu :label _cpu
\warn @is :label_cpu :cpu
\set label_build_wal :label _build_wal
\warn @is :label_build_wal :build_wal

-- WAL of n scattered changes and of their refresh, for each of them, without
-- what the table of facts and its indexes need themselves and without
-- full-page images.
SELECT pg_current_wal_flush_lsn() AS began \gset
UPDATE deals SET amount = amount + 1, stage = CASE stage WHEN 'won' THEN 'lost' ELSE 'won' END
 WHERE id IN (SELECT 1 + floor(random() * :rows)::bigint FROM generate_series(1, :n));
SELECT pg_current_wal_flush_lsn() AS captured \gset
CALL kpi.refresh('deals');
SELECT sum(w.record_length - w.fpi_length) FILTER (WHERE w.start_lsn < :'captured') / :n AS capture,
       sum(w.record_length - w.fpi_length) FILTER (WHERE w.start_lsn >= :'captured') / :n AS refresh,
       sum(w.record_length - w.fpi_length) / :n AS both
  FROM pg_get_wal_records_info(:'began', pg_current_wal_flush_lsn()) w
 WHERE NOT EXISTS (SELECT FROM pg_class c
                    WHERE (c.oid = 'deals'::regclass
                           OR c.oid IN (SELECT i.indexrelid FROM pg_index i WHERE i.indrelid = 'deals'::regclass))
                      AND w.block_ref ~ format('rel \d+/\d+/%s ', pg_relation_filenode(c.oid))) \gset
\warn @is wal_capture :capture
\warn @is wal_refresh :refresh
\warn @is wal :both

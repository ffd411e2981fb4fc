\ir on.sql
\warn @time insert_select.:kind
INSERT INTO one_:kind (owner_id, stage, amount, created_at, closed_at)
SELECT i % 500 + 1, (ARRAY['won', 'lost', 'open'])[i % 3 + 1], i % 1000,
       timestamptz '2026-11-01' + i % 10 * interval '1 day',
       timestamptz '2026-11-18' - i % 90 * interval '1 day'
  FROM generate_series(1, 10000) AS i;
\ir off.sql

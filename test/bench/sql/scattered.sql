-- n facts anywhere in the three years change in all their measures.
UPDATE deals SET amount = amount + 1, stage = CASE stage WHEN 'won' THEN 'lost' ELSE 'won' END
 WHERE id IN (SELECT 1 + floor(random() * :rows)::bigint FROM generate_series(1, :n));
\ir on.sql
\warn @time :label
CALL kpi.refresh('deals');
\ir off.sql

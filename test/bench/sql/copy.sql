\set copy 'COPY ' :table ' (owner_id, stage, amount, created_at, closed_at) FROM ' :'csv' ' WITH (FORMAT csv)'
\ir on.sql
\warn @time copy.:table
:copy;
\ir off.sql
TRUNCATE :table;

-- Variables: kind, days (scattered or day), csv.
\set copy 'COPY copy_' :kind ' (owner_id, stage, amount, created_at, closed_at) FROM ' :'csv' ' WITH (FORMAT csv)'
\ir on.sql
\warn @time copy_:days.:kind
:copy;
\ir off.sql
TRUNCATE copy_:kind;

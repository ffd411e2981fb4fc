-- 100,000 scattered facts, into a table that is captured and one that is not.
\ir on.sql
\warn @time captured
COPY idle FROM :'file';
\warn @time plain
COPY plain FROM :'file';
\ir off.sql

-- All rows of the largest table in one transaction.  Variable: kind.
\ir on.sql
\warn @time big_update.:kind
UPDATE big_:kind SET amount = amount + 1;
\ir off.sql
VACUUM big_:kind;

-- Where 50 of the goals are, of the view or table people read and of a plain copy of it.
\ir on.sql
\warn @time goals_copy
EXECUTE of_copy('revenue', '2026-Q4');
\warn @time goals
EXECUTE of_goals('revenue', '2026-Q4');
\ir off.sql

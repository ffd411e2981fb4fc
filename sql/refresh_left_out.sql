-- What KPIs leave out is counted by reason, and kept like any number.
SET kpi.refresh_on_commit = off;
CREATE TABLE orders (id integer PRIMARY KEY, owner text, stage text, is_test boolean, closed timestamptz, ended date, began date,
                     amount numeric, cost numeric, customer integer);
SELECT kpi.create_team('left_team');

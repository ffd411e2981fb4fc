-- A source with all kinds of measures over an empty table, after capture.sql.
CREATE TABLE deals (
    id bigint PRIMARY KEY, owner_id int, stage text, amount numeric(12,2), quantity smallint,
    product text, comment text, created_at timestamptz, closed_at timestamptz,
    net numeric GENERATED ALWAYS AS (amount * 0.8) STORED,
    is_deleted boolean NOT NULL DEFAULT false
);
SELECT kpi.create_calendar('berlin', time_zone => 'Europe/Berlin') > 0 AS created;
SELECT kpi.create_source('deals', relation => 'capture_test.deals', key => 'id', owner => 'owner_id',
                         at => 'closed_at', filter => 'NOT is_deleted', calendar => 'berlin',
                         dimensions => '{"product": "product", "size": "CASE WHEN amount > 500 THEN ''large'' ELSE ''small'' END"}') > 0 AS created;
SELECT count(*) FROM (VALUES
    (kpi.create_kpi('won', source => 'deals', measure => 'count(*)', filter => $$stage = 'won'$$)),
    (kpi.create_kpi('revenue', source => 'deals', measure => 'sum(amount)', filter => $$stage = 'won'$$)),
    (kpi.create_kpi('net', source => 'deals', measure => 'sum(net)')),
    (kpi.create_kpi('win_rate', source => 'deals', measure => $$rate(stage = 'won', stage IN ('won', 'lost'))$$)),
    (kpi.create_kpi('cycle', source => 'deals', measure => 'avg(closed_at - created_at)', filter => $$stage = 'won'$$)),
    (kpi.create_kpi('per_item', source => 'deals', measure => 'ratio(amount, quantity)')),
    (kpi.create_kpi('created', source => 'deals', measure => 'count(*)', at => 'created_at', owner => 'product')),
    (kpi.create_kpi('company_items', source => 'deals', measure => 'sum(quantity)', at => '(created_at AT TIME ZONE ''UTC'')::date'))
) k;

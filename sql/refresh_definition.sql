-- Refresh: KPIs, sources and calendars that are defined anew or altered.
\getenv abs_srcdir PG_ABS_SRCDIR
\set oracle :abs_srcdir /sql/include/refresh.sql
\set ECHO none
\i :oracle
\set ECHO all

INSERT INTO rf.deals VALUES (2001, 'ann', 'won', 1000000000000.01 - 999999999999, 'p', '2026-03-01', '2026-03-02');
UPDATE rf.deals SET amount = amount * 2, owner = 'eve' WHERE id % 7 = 0;
DELETE FROM rf.deals WHERE id % 11 = 0;
CALL kpi.refresh('rf');
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

-- New and changed KPIs are built by the next refresh; dropped ones go at once
SELECT kpi.create_kpi('rf_lost', source => 'rf', measure => 'count(*)', filter => $$stage = 'lost'$$) IS NOT NULL AS kpi;
SELECT kpi.alter_kpi('rf_won', filter => $$stage IN ('won', 'lost')$$);
SET rf.won = 'won lost';
INSERT INTO rf.deals VALUES (2002, 'bob', 'lost', 5, NULL, '2026-03-01', '2026-03-02');
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi, value FROM rf.company WHERE grain = 'year' ORDER BY kpi;
SELECT count(*) FILTER (WHERE stage = 'lost') AS lost, count(*) FILTER (WHERE stage IN ('won', 'lost')) AS won FROM rf.deals WHERE closed_at IS NOT NULL;
SELECT kpi.drop_kpi('rf_lost');
SELECT count(*) FROM rf.company WHERE kpi = 'rf_lost';
SELECT kpi.alter_source('rf', filter => $$coalesce(product, '') <> 'q'$$);
SET rf.left_out = 'q';
UPDATE rf.deals SET product = 'q' WHERE id < 50;
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi.alter_source('rf', dimensions => '{"size": "CASE WHEN amount > 50 THEN ''large'' ELSE ''small'' END", "stage": "stage"}');
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT b.dimension, b.dimension_value, b.value FROM kpi.kpi_breakdown b JOIN kpi.kpi k ON k.id = b.kpi_id
WHERE k.name = 'rf_opened' AND b.grain = 'year' AND b.team_id = 1 ORDER BY 1, 2;
SELECT 'size' AS dimension, CASE WHEN amount > 50 THEN 'large' ELSE 'small' END AS dimension_value, count(*) FROM rf.deals WHERE coalesce(product, '') <> 'q' GROUP BY 2
UNION ALL SELECT 'stage', stage, count(*) FROM rf.deals WHERE coalesce(product, '') <> 'q' GROUP BY 2 ORDER BY 1, 2;

-- The calendar: other weeks, other years, other days
SELECT kpi.alter_calendar('default', week_start => 'sunday', fiscal_year_start => 4);
SET rf.week_start = -1;
SET rf.year_start = 3;
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi, period, value FROM rf.company WHERE kpi = 'rf_won' AND grain = 'year' ORDER BY period;
-- a quarter that begins on the same day has another name
SELECT DISTINCT v.period, d.quarter, v.period_start FROM kpi.kpi_value v
  JOIN kpi.calendar_day d ON d.calendar_id = 1 AND d.day = v.period_start WHERE v.grain = 'quarter' ORDER BY 3;
SELECT count(*) FROM kpi.kpi_breakdown v
  JOIN kpi.calendar_day d ON d.calendar_id = 1 AND d.day = v.period_start WHERE v.grain = 'quarter' AND v.period <> d.quarter;
SELECT kpi.alter_calendar('default', week_start => 'monday', fiscal_year_start => 1, time_zone => 'Pacific/Kiritimati');
SET rf.week_start = 0;
SET rf.year_start = 0;
SET rf.time_zone = 'Pacific/Kiritimati';
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();
SELECT kpi.alter_calendar('default', time_zone => 'UTC');
SET rf.time_zone = 'UTC';
CALL kpi.refresh();
SELECT * FROM kpi.verify('rf');
SELECT * FROM rf.difference();

SELECT kpi.drop_source('rf', cascade => true);
SELECT kpi.drop_member('ann'), kpi.drop_member('bob'), kpi.drop_team('alps'), kpi.drop_team('north');
DROP SCHEMA rf CASCADE;
CALL kpi.refresh();

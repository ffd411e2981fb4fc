-- kpi.query(): each number again as plain SQL, executed.
SET timezone = 'UTC';
SET kpi.now = '2026-03-20 12:00:00+00';
SET client_min_messages = warning;
CREATE SCHEMA qy;
CREATE TABLE qy.deal (id integer PRIMARY KEY, rep text, product text, amount numeric, hours double precision,
                      worked interval, won boolean, closed_at timestamptz, ended_at timestamptz, cur text, account integer);
INSERT INTO qy.deal
SELECT i, (ARRAY['anna', 'a-old', 'ben', 'cem', NULL, 'nobody'])[1 + i % 6], (ARRAY['x', 'y', NULL])[1 + i % 3],
       CASE WHEN i % 17 = 0 THEN 'NaN' WHEN i % 13 = 0 THEN NULL ELSE (i * 37 % 101) + 0.25 END,
       CASE WHEN i % 19 = 0 THEN 'Infinity' ELSE (i * 31 % 23) / 10.0 END,
       make_interval(hours => i % 11), i % 4 = 0,
       CASE WHEN i % 29 = 0 THEN NULL ELSE timestamptz '2025-01-01 22:30+00' + make_interval(hours => i * 23) END,
       CASE WHEN i % 5 <> 0 THEN timestamptz '2025-01-01 22:30+00' + make_interval(hours => i * 23 + i * 7 % 2000) END,
       (ARRAY['EUR', 'USD', 'PLN'])[1 + i % 3], i % 40
  FROM generate_series(1, 500) i;
CREATE TABLE qy.account (id integer PRIMARY KEY, size text);
INSERT INTO qy.account SELECT i, CASE WHEN i % 2 = 0 THEN 'big' ELSE 'small' END FROM generate_series(0, 35) i;

SELECT kpi.create_team('q_world') IS NOT NULL AS team, kpi.create_team('q_east', parent => 'q_world') IS NOT NULL AS team,
       kpi.create_team('q_west') IS NOT NULL AS team;
SELECT kpi.add_member('anna', team => 'q_east') IS NOT NULL AS member, kpi.add_member('ben', team => 'q_west') IS NOT NULL AS member,
       kpi.add_member('cem', team => 'q_east', since => '2025-06-01') IS NOT NULL AS member;
SELECT kpi.move_member('anna', team => 'q_west', since => '2025-09-15');
SELECT kpi.move_member('ben', team => 'q_east', since => '2026-02-10');
SELECT kpi.move_team('q_west', parent => 'q_world', since => '2026-01-01');
SELECT kpi.add_member_alias('anna', 'a-old') IS NOT NULL AS alias;
SELECT kpi.set_attribute('anna', 'level', 'senior', since => '2025-07-01');
SELECT kpi.alter_company(currency => 'EUR');
SELECT kpi.set_exchange_rate('USD', 0.9, since => '2025-01-01');
SELECT kpi.set_exchange_rate('USD', 0.8, since => '2026-02-01');

-- kpi.suggest_target() without a history of its own, with ramps and days of membership, of
-- balances, and what it refuses.
SET client_min_messages = warning;
SET datestyle = 'ISO, MDY';
SET kpi.now = '2026-11-20 12:00:00+00';
CREATE SCHEMA suggest_test;
CREATE TABLE suggest_test.deal (id integer PRIMARY KEY, rep text, day date, amount numeric, ended date);
SELECT count(kpi.create_team(x.key, parent => x.parent)) FROM (VALUES ('su_all', NULL), ('su_north', 'su_all'), ('su_new', 'su_all'), ('su_empty', 'su_all')) x (key, parent);
SELECT count(kpi.add_member(x.key, team => x.team, since => x.since::date, until => x.until::date))
  FROM (VALUES ('su_a', 'su_north', NULL, NULL), ('su_b', 'su_north', NULL, NULL), ('su_c', 'su_north', NULL, '2027-02-16'),
               ('su_next', 'su_north', '2027-01-18', NULL), ('su_alone', 'su_empty', NULL, NULL)) x (key, team, since, until);
-- ten quarters, each day of which has one deal of each of three: a hundred, two hundred and fifty
INSERT INTO suggest_test.deal
SELECT row_number() OVER (), m.key, d::date, m.amount, CASE WHEN extract(day FROM d) = 1 THEN d::date + 20 END
  FROM (VALUES ('su_a', 100), ('su_b', 200), ('su_c', 50)) m (key, amount), generate_series('2024-07-01', '2026-11-19', interval '1 day') d;
SELECT kpi.create_source('suggest', relation => 'suggest_test.deal', key => 'id', owner => 'rep', at => 'day') > 0 AS created;
SELECT kpi.create_kpi('su_revenue', source => 'suggest', measure => 'sum(amount)', unit => 'EUR', format => 'money', decimals => 0) > 0 AS created;
SELECT kpi.create_kpi('su_average', source => 'suggest', measure => 'avg(amount)') > 0 AS created;
SELECT kpi.create_kpi('su_open', source => 'suggest', measure => 'balance(amount)', at => 'day', until => 'ended') > 0 AS created;
SELECT kpi.create_kpi('su_median', source => 'suggest', measure => 'median(amount)') > 0 AS created;
CALL kpi.refresh();

-- level of a quarter, with half of it after two: of all that are over
CREATE FUNCTION suggest_test.level(rep text, sides boolean DEFAULT false) RETURNS float8 LANGUAGE sql AS $$
    SELECT sum(q.amount * 0.5 ^ ((9 - q.n) / 2.0)) / sum(0.5 ^ ((9 - q.n) / 2.0))
      FROM (SELECT row_number() OVER (ORDER BY date_trunc('quarter', day)) AS n, CASE WHEN sides THEN count(*)::float8 ELSE sum(amount)::float8 END AS amount
              FROM suggest_test.deal d WHERE d.rep = level.rep AND day < '2026-10-01' GROUP BY date_trunc('quarter', day)) q $$;
-- company: the same quarter one and two years ago against the level before it, with one more year of nothing
CREATE FUNCTION suggest_test.season() RETURNS float8 LANGUAGE sql AS $$
    WITH q AS (SELECT date_trunc('quarter', day) AS quarter, row_number() OVER (ORDER BY date_trunc('quarter', day)) AS n, sum(amount)::float8 AS total
                 FROM suggest_test.deal WHERE day < '2026-10-01' GROUP BY 1)
    SELECT exp(sum(ln(y.total / (SELECT sum(b.total * 0.5 ^ ((y.n - 1 - b.n) / 2.0)) / sum(0.5 ^ ((y.n - 1 - b.n) / 2.0)) FROM q b WHERE b.n < y.n))) / (count(*) + 1))
      FROM q y WHERE extract(month FROM y.quarter) = 1 $$;
-- a member that is there: its own days of the quarter, by working days (each day of the company brings the same)
SELECT suggestion, abs(target / (suggest_test.level('su_a') * suggest_test.season())::numeric - 1) < 1e-6 AS equal, forecast_basis
  FROM kpi.suggest_target('su_revenue', member => 'su_a', period => '2027-Q1') WHERE suggestion = 'likely';
SELECT why FROM kpi.suggest_target('su_revenue', member => 'su_c', period => '2027-Q1') WHERE suggestion = 'likely';
SELECT abs(target / (suggest_test.level('su_c') * suggest_test.season() * x.share)::numeric - 1) < 1e-6 AS equal
  FROM kpi.suggest_target('su_revenue', member => 'su_c', period => '2027-Q1') s
 CROSS JOIN (SELECT (0.25 * 32 / 64 + (sum(0.8 ^ (9 - n) * 46 / 90.0)) ) / (0.25 + sum(0.8 ^ (9 - n))) AS share FROM generate_series(1, 9) n) x
 WHERE s.suggestion = 'likely';
-- one who has none: the mean of those three; there for 53 of 64 working days
SELECT abs(s.target / ((suggest_test.level('su_a') + suggest_test.level('su_b') + suggest_test.level('su_c')) / 3 * suggest_test.season() * 53 / 64)::numeric - 1) < 1e-6 AS equal,
       s.forecast_basis, s.previous_period, s.previous_value, s.growth_ratio, s.why
  FROM kpi.suggest_target('su_revenue', member => 'su_next', period => '2027-Q1') s WHERE s.suggestion = 'likely';
-- and in the ramp: 23 days at a quarter, 20 at a half, the last 10 at three quarters
SELECT kpi.set_ramp('{0.25, 0.5, 0.75}', team => 'su_all');
SELECT abs(s.target / ((suggest_test.level('su_a') + suggest_test.level('su_b') + suggest_test.level('su_c')) / 3 * suggest_test.season() * (23 * 0.25 + 20 * 0.5 + 10 * 0.75) / 64)::numeric - 1) < 1e-6 AS equal,
       s.forecast_basis, s.why
  FROM kpi.suggest_target('su_revenue', member => 'su_next', period => '2027-Q1') s WHERE s.suggestion = 'likely';
SELECT s.target, abs(s.target / ((suggest_test.level('su_a') + suggest_test.level('su_b') + suggest_test.level('su_c'))
                       / (suggest_test.level('su_a', true) + suggest_test.level('su_b', true) + suggest_test.level('su_c', true)))::numeric - 1) < 1e-6 AS equal, s.why
  FROM kpi.suggest_target('su_average', member => 'su_next', period => '2027-Q1') s WHERE s.suggestion = 'likely';
SELECT regexp_replace(why, '[0-9,]{4,}', 'N', 'g') AS why FROM kpi.suggest_target('su_revenue', team => 'su_north', period => '2027-Q1') WHERE suggestion = 'likely';
-- a team that is new, of two who were elsewhere
SELECT count(kpi.move_member(key, 'su_new', since => '2027-01-01')) FROM kpi.member WHERE key IN ('su_a', 'su_b');
SELECT suggestion, abs(target / ((suggest_test.level('su_a') + suggest_test.level('su_b')) * suggest_test.season())::numeric - 1) < 1e-6 AS equal, forecast_basis
  FROM kpi.suggest_target('su_revenue', team => 'su_new', period => '2027-Q1') WHERE suggestion = 'likely';
-- a balance: what is held now, and what has come on average until the end of the period
SELECT suggestion, round(target) AS target, probability, previous_period, previous_value, why FROM kpi.suggest_target('su_open', period => '2026-12');
SELECT s.suggestion, abs(s.target - (o.held + o.level * (1 + 10 / 31.0))::numeric) < 0.001 AS equal
  FROM kpi.suggest_target('su_open', period => '2026-12') s
 CROSS JOIN (SELECT (SELECT sum(amount) FROM suggest_test.deal WHERE day <= '2026-11-20' AND (ended IS NULL OR ended > '2026-11-20'))::float8 AS held,
                    (SELECT sum(f.net * 0.5 ^ ((28 - f.n) / 6.0)) / sum(0.5 ^ ((28 - f.n) / 6.0))
                       FROM (SELECT n, (SELECT sum(d.amount * ((d.day >= m.month AND d.day < m.month + interval '1 month')::integer
                                                               - coalesce((d.ended >= m.month AND d.ended < m.month + interval '1 month')::integer, 0)))::float8
                                          FROM suggest_test.deal d) AS net
                               FROM (SELECT n, ('2024-06-01'::date + n * interval '1 month')::date AS month FROM generate_series(1, 28) n) m) f) AS level) o
 WHERE s.suggestion = 'likely';

-- over an opening: what comes over what is held when it begins
SELECT kpi.create_kpi('su_churn', formula => 'su_lost / opening(su_open)', direction => 'down') IS NULL AS not_yet
 WHERE kpi.create_kpi('su_lost', source => 'suggest', measure => 'sum(amount)', at => 'ended') > 0;
CALL kpi.refresh();
SELECT s.suggestion, abs(s.target - (l.target / o.held)) < 1e-5 AS equal, s.probability
  FROM kpi.suggest_target('su_churn', period => '2026-11') s
  JOIN kpi.suggest_target('su_lost', period => '2026-11') l ON l.suggestion = s.suggestion AND s.suggestion = 'likely'
 CROSS JOIN (SELECT sum(amount) AS held FROM suggest_test.deal WHERE day < '2026-11-01' AND (ended IS NULL OR ended >= '2026-11-01')) o;

-- nothing known, and what is refused
\set VERBOSITY default
\set SHOW_CONTEXT never
SET client_min_messages = notice;
SELECT * FROM kpi.suggest_target('su_revenue', member => 'su_alone', period => '2027-Q1');
SELECT * FROM kpi.suggest_target('su_revenue', team => 'su_empty', period => '2027-Q1');
SELECT * FROM kpi.suggest_target('su_median', period => '2027-Q1');
SELECT * FROM kpi.suggest_target('su_revenue', period => '2024-Q1');
SELECT * FROM kpi.suggest_target('su_revenu', period => '2027-Q1');
SELECT * FROM kpi.suggest_target('su_revenue', team => 'su_nort', period => '2027-Q1');
SELECT * FROM kpi.suggest_target('su_revenue', member => 'su_nobody', period => '2027-Q1');
SELECT * FROM kpi.suggest_target('su_revenue', team => 'su_north', member => 'su_a', period => '2027-Q1');
SELECT * FROM kpi.suggest_target('su_revenue', period => '2027-Q5');
SELECT * FROM kpi.suggest_target('su_revenue', period => '2027-01-05');
SELECT * FROM kpi.suggest_target('su_revenue', period => '2027-01-05..2027-02-05');
SELECT * FROM kpi.suggest_target('su_revenue');
SET client_min_messages = warning;

SELECT kpi.set_ramp(NULL, team => 'su_all');
SELECT kpi.drop_source('suggest', cascade => true);
SELECT count(kpi.drop_member(key)) FROM kpi.member WHERE key LIKE 'su\_%';
SELECT count(kpi.move_team(key, NULL)) FROM kpi.team WHERE key LIKE 'su\_%' AND key <> 'su_all';
SELECT count(kpi.drop_team(key)) FROM kpi.team WHERE key LIKE 'su\_%';
DROP SCHEMA suggest_test CASCADE;

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
SELECT kpi.add_alias('anna', 'a-old');
SELECT kpi.set_attribute('anna', 'level', 'senior', since => '2025-07-01');
SELECT kpi.alter_company(currency => 'EUR');
SELECT kpi.set_exchange_rate('USD', '2025-01-01', 0.9);
SELECT kpi.set_exchange_rate('USD', '2026-02-01', 0.8);
SELECT kpi.create_lookup('q_size', relation => 'qy.account', key => 'id', value => 'size') IS NOT NULL AS lookup;
SELECT kpi.create_source('q_deal', relation => 'qy.deal', key => 'id', owner => 'rep', at => 'closed_at', filter => 'id <> 7',
                         dimensions => '{"product": "product", "level": "attribute(''level'')"}') IS NOT NULL AS source,
       kpi.create_source('q_seen', relation => 'qy.deal', key => 'id', owner => 'rep', at => 'closed_at',
                         dimensions => '{"size": "lookup(''q_size'', account)"}') IS NOT NULL AS source,
       kpi.create_source('q_keyed', query => 'SELECT d.account, min(d.rep) AS rep, max(d.closed_at) AS last_at, sum(d.amount) AS total
                             FROM qy.deal d WHERE d.amount <> ''NaN'' GROUP BY d.account -- each account once',
                         key => 'account', entity => 'account', follow => '{"qy.deal": "account"}',
                         owner => 'rep', at => 'last_at') IS NOT NULL AS source;
CREATE TABLE qy.kpi (name text, args text);
INSERT INTO qy.kpi VALUES
    ('count', $$source => 'q_deal', measure => 'count(*)'$$),
    ('won', $$source => 'q_deal', measure => 'count(amount)', filter => 'won'$$),
    ('sum', $$source => 'q_deal', measure => 'sum(amount)', filter => 'product = ''x'' OR won'$$),
    ('float', $$source => 'q_deal', measure => 'sum(hours)'$$),
    ('avg', $$source => 'q_deal', measure => 'avg(amount)'$$),
    ('worked', $$source => 'q_deal', measure => 'avg(worked)', unit => 'minutes'$$),
    ('rate', $$source => 'q_deal', measure => 'rate(won, amount > 20)'$$),
    ('ratio', $$source => 'q_deal', measure => 'ratio(amount, hours)'$$),
    ('stddev', $$source => 'q_deal', measure => 'stddev(hours)'$$),
    ('variance', $$source => 'q_deal', measure => 'variance(amount)'$$),
    ('median', $$source => 'q_deal', measure => 'median(hours)'$$),
    ('percentile', $$source => 'q_deal', measure => 'percentile(0.9, amount)'$$),
    ('distinct', $$source => 'q_deal', measure => 'count(DISTINCT account)'$$),
    ('reps', $$source => 'q_deal', measure => 'count(DISTINCT rep)', filter => 'won'$$),
    ('min', $$source => 'q_deal', measure => 'min(amount)'$$),
    ('max', $$source => 'q_deal', measure => 'max(worked)', unit => 'hours'$$),
    ('first', $$source => 'q_deal', measure => 'first(amount)'$$),
    ('last', $$source => 'q_deal', measure => 'last(amount)'$$),
    ('balance', $$source => 'q_deal', measure => 'balance(amount)', until => 'ended_at'$$),
    ('euro', $$source => 'q_deal', measure => 'sum(amount, currency => cur)', exchange => 'daily'$$),
    ('euro_avg', $$source => 'q_deal', measure => 'avg(amount, currency => cur)', exchange => 'daily'$$),
    ('today', $$source => 'q_deal', measure => 'sum(amount)', credit => 'today'$$),
    ('size', $$source => 'q_seen', measure => 'count(*)', filter => 'lookup(''q_size'', account) = ''big'''$$),
    ('keyed', $$source => 'q_keyed', measure => 'sum(total)'$$),
    ('share', $$formula => 'q_won / q_count'$$),
    ('mixed', $$formula => 'CASE WHEN q_rate > 0.5 THEN 1 ELSE 3 END / 2 + coalesce(q_avg, 0) - 2 * q_share'$$),
    ('previous', $$formula => 'q_sum - previous(q_sum)'$$),
    ('growth', $$formula => 'growth(q_sum)'$$),
    ('year', $$formula => 'ytd(q_sum) / greatest(year_ago(q_count), 1)'$$),
    ('rolling', $$formula => 'rolling(q_sum, 28) + qtd(q_count) + rolling(q_sum, 2, ''quarter'')'$$),
    ('held', $$formula => 'q_balance - opening(q_balance) + daily_average(q_balance)'$$),
    ('part', $$formula => 'q_sum / whole(q_sum)'$$);
DO $$
DECLARE
    k record;
BEGIN
    FOR k IN SELECT * FROM qy.kpi LOOP
        EXECUTE format('SELECT kpi.create_kpi(%L, %s)', 'q_' || k.name, k.args);
    END LOOP;
END $$;
CALL kpi.refresh();

CREATE FUNCTION qy.run(query text) RETURNS numeric LANGUAGE plpgsql AS $$
DECLARE
    result numeric;
BEGIN
    EXECUTE query INTO STRICT result;
    RETURN result;
END $$;
-- What differs; of percentiles, what is off by more than their error.
CREATE FUNCTION qy.differs(kpi text, a numeric, b numeric) RETURNS boolean LANGUAGE sql AS $$
    SELECT CASE WHEN kpi IN ('q_median', 'q_percentile') AND a IS NOT NULL AND b IS NOT NULL THEN abs(a - b) > 0.011 * abs(b) + 0.000001
                ELSE round(a, 8) IS DISTINCT FROM round(b, 8) END $$;
CREATE VIEW qy.place AS
    SELECT k.name AS kpi, s.team, s.member, p.period
      FROM kpi.kpi k, (VALUES (NULL, NULL), ('q_world', NULL), ('q_east', NULL), ('q_west', NULL), ('(unassigned)', NULL),
                              (NULL, 'anna'), (NULL, 'cem')) s (team, member),
           (VALUES ('2025'), ('2025-Q3'), ('2025-06'), ('2025-09'), ('2026-Q1'), ('2026-02'), ('2026-03'), ('2025-W24'), ('2025-09-20'), ('2024-05')) p (period)
     WHERE k.name LIKE 'q\_%';
SELECT x.kpi, x.team, x.member, x.period, x.theirs, x.ours
  FROM (SELECT p.*, qy.run(kpi.query(p.kpi, team => p.team, member => p.member, period => p.period)) AS theirs,
               kpi.value(p.kpi, team => p.team, member => p.member, period => p.period) AS ours FROM qy.place p) x
 WHERE qy.differs(x.kpi, x.theirs, x.ours)
 ORDER BY 1, 2, 3, 4 LIMIT 20;
-- By dimensions, of the fact and of its owner, and to date.
SELECT x.*
  FROM (SELECT k.name, d.dimension, d.dimension_value, t.team,
               qy.run(kpi.query(k.name, team => t.team, period => '2025-Q3', dimension => d.dimension, dimension_value => d.dimension_value)) AS theirs,
               kpi.value(k.name, team => t.team, period => '2025-Q3', dimension => d.dimension, dimension_value => d.dimension_value) AS ours
          FROM kpi.kpi k, (VALUES (NULL), ('q_west')) t (team),
               (VALUES ('product', 'x'), ('product', NULL), ('level', 'senior'), ('level', NULL), ('product', 'none')) d (dimension, dimension_value)
         WHERE k.name LIKE 'q\_%' AND k.name NOT IN ('q_size', 'q_keyed')
           AND (d.dimension_value IS DISTINCT FROM 'none' OR k.kind = 'measure')) x
 WHERE qy.differs(x.name, x.theirs, x.ours)
 ORDER BY 1, 2, 3, 4 LIMIT 20;
SELECT x.*
  FROM (SELECT m.kpi, m.team, m.period, qy.run(kpi.query(m.kpi, team => m.team, period => m.period, to_date => true)) AS theirs, m.value_to_date AS ours
          FROM kpi.team_monthly m WHERE m.kpi LIKE 'q\_%' AND m.period IN ('2026-03', '2026-02')) x
 WHERE qy.differs(x.kpi, x.theirs, x.ours)
 ORDER BY 1, 2, 3 LIMIT 20;
-- Nothing of ours is in it.
SELECT DISTINCT p.kpi FROM qy.place p
 WHERE kpi.query(p.kpi, team => p.team, member => p.member, period => p.period) ~ 'kpi\.|kpi_' ORDER BY 1;
-- As it is read.
SELECT regexp_replace(kpi.query('q_sum', team => 'q_world', period => '2025-Q3'), '-- Teams[^\n]*', '-- Teams') AS query;
SELECT regexp_replace(kpi.query('q_share', member => 'anna', period => '2026-03', to_date => true), '-- Teams[^\n]*', '-- Teams') AS query;
SELECT regexp_replace(kpi.query('q_keyed', period => '2025'), '-- Teams[^\n]*', '-- Teams') AS query;
-- Names of users end no comment and no literal.
SELECT kpi.create_team(E'q\n; DROP TABLE qy.deal; --''') IS NOT NULL AS team;
SELECT qy.run(kpi.query('q_sum', team => E'q\n; DROP TABLE qy.deal; --''', period => '2025')) IS NULL AS nothing;
-- Mistakes.
SELECT kpi.query('q_summ', period => '2025');
SELECT kpi.query('q_sum', team => 'q_wets', period => '2025');
SELECT kpi.query('q_sum', period => 'soon');
SELECT kpi.query('q_sum', period => '2500');
SELECT kpi.query('q_sum', period => '2027', to_date => true);
SELECT kpi.query('q_sum', period => '2025', dimension => 'produkt', dimension_value => 'x');
SELECT kpi.query('q_sum', team => 'q_east', member => 'anna', period => '2025');
-- Who reads no fact may ask; who runs it needs rights on them.
CREATE ROLE regress_q_reader;
SELECT kpi.grant_reader('regress_q_reader');
SET ROLE regress_q_reader;
SELECT length(kpi.query('q_sum', period => '2025')) > 100 AS asked;
SELECT kpi.query('q_sum', period => '2025') AS query \gset
:query
RESET ROLE;
SELECT kpi.revoke_reader('regress_q_reader');
DROP ROLE regress_q_reader;
ALTER TABLE qy.deal RENAME TO gone;
DROP TABLE qy.gone CASCADE;
SELECT kpi.query('q_sum', period => '2025');

SELECT kpi.drop_source(name, cascade => true) FROM kpi.source WHERE name LIKE 'q\_%' ORDER BY id DESC;
SELECT kpi.drop_lookup('q_size');
SELECT kpi.drop_member(key) FROM kpi.member WHERE key IN ('anna', 'ben', 'cem') ORDER BY key;
SELECT kpi.set_exchange_rate('USD', since, NULL) FROM kpi.exchange_rate WHERE currency = 'USD' ORDER BY since;
UPDATE kpi.company SET currency = NULL;
SELECT kpi.drop_team(key) FROM (VALUES ('q_east'), ('q_west'), ('q_world')) t (key);
SELECT kpi.drop_team(E'q\n; DROP TABLE qy.deal; --''');
DROP SCHEMA qy CASCADE;

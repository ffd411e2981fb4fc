-- What a build cannot do without: the same five aggregates of each owner and
-- day.  All are summed up, as the planner would drop one that nobody reads.
SELECT sum(won), sum(revenue), sum(lost), sum(closed), sum(cycle)
  FROM (SELECT owner_id, (closed_at AT TIME ZONE 'UTC')::date AS day,
               count(*) FILTER (WHERE stage = 'won') AS won,
               sum(amount) FILTER (WHERE stage = 'won') AS revenue,
               count(*) FILTER (WHERE stage = 'lost') AS lost,
               count(*) FILTER (WHERE stage IN ('won', 'lost')) AS closed,
               sum(extract(epoch FROM closed_at - created_at)) FILTER (WHERE stage = 'won') AS cycle
          FROM :source GROUP BY 1, 2) x;

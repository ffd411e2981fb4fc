-- 69_plan: plans, of which goals are: those that are followed, and drafts.

CREATE TABLE kpi.plan (
    name         text PRIMARY KEY,
    status       text NOT NULL CHECK (status IN ('draft', 'published')),
    is_draft     boolean NOT NULL GENERATED ALWAYS AS (status = 'draft') STORED,
    created_at   timestamptz NOT NULL,
    created_by   text NOT NULL,
    published_at timestamptz,
    published_by text,
    reason       text,
    UNIQUE (name, is_draft)     -- kpi.goal
);
SELECT pg_catalog.pg_extension_config_dump('kpi.plan', '');
COMMENT ON TABLE kpi.plan IS 'Plans, of which goals are. kpi.create_goal() makes one that is published at once, kpi.create_plan() and kpi.import_goals() a draft, whose goals are followed only once it is published (kpi.publish_plan())';
COMMENT ON COLUMN kpi.plan.name IS 'Its name';
COMMENT ON COLUMN kpi.plan.status IS 'published: its goals are followed; draft: they are in kpi.goal and kpi.goal_target, and nowhere else';
COMMENT ON COLUMN kpi.plan.is_draft IS 'Whether it is a draft';
COMMENT ON COLUMN kpi.plan.created_at IS 'When it was made';
COMMENT ON COLUMN kpi.plan.created_by IS 'By which role';
COMMENT ON COLUMN kpi.plan.published_at IS 'When it was published; NULL: it is a draft';
COMMENT ON COLUMN kpi.plan.published_by IS 'By which role';
COMMENT ON COLUMN kpi.plan.reason IS 'What was said when it was published, or NULL';

CREATE FUNCTION kpi.create_plan(name text) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_create_plan';
COMMENT ON FUNCTION kpi.create_plan(text) IS
'Makes a plan that is a draft. Goals are made in it with kpi.create_goal(..., plan => ...) or kpi.import_goals(), and stand in kpi.goal and kpi.goal_target alone until kpi.publish_plan(). Error: there is such a plan';
CREATE FUNCTION kpi.publish_plan(plan text, reason text DEFAULT NULL) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_publish_plan';
COMMENT ON FUNCTION kpi.publish_plan(text, text) IS
'Has the goals of a draft followed from now on: they get their rows in kpi.goal_progress. What a relative target was compared with stays. Errors: plan unknown; it is published already';
CREATE FUNCTION kpi.drop_plan(plan text) RETURNS void
    LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_drop_plan';
COMMENT ON FUNCTION kpi.drop_plan(text) IS
'Drops a draft with all its goals, or a published plan that has no goals. Errors: plan unknown; it is published and has goals';

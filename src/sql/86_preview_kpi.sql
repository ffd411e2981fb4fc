-- 86_preview_kpi: what another definition would make of a KPI (explain/preview_kpi.c).

-- Values of teams in the periods of a grain, to be compared as a whole.
CREATE FUNCTION kpi_internal.preview_kpi_values(kpi text, grain text, since date, until date) RETURNS jsonb
    VOLATILE LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT coalesce(jsonb_agg(jsonb_build_object('team_id', v.team_id, 'start', v.period_start, 'value', v.value)), '[]')
      FROM kpi.kpi_value v
     WHERE v.kpi_id = (SELECT k.id FROM kpi.kpi k WHERE k.name = $1) AND v.scope = 'team' AND v.grain = $2
       AND v.period_start >= coalesce($3, '-infinity') AND v.period_start < coalesce($4, 'infinity')
$$;
COMMENT ON FUNCTION kpi_internal.preview_kpi_values(text, text, date, date) IS 'Values of a KPI for teams in the periods of a grain: for kpi.preview_kpi()';

CREATE FUNCTION kpi_internal.preview_kpi_difference(values_before jsonb, values_after jsonb, grain text)
    RETURNS TABLE (team text, period text, period_start date, old_value numeric, new_value numeric, difference numeric)
    VOLATILE LANGUAGE sql SET search_path = pg_catalog, pg_temp AS $$
    SELECT t.key, kpi.period_name(start, $3), start, b.value, a.value, a.value - b.value
      FROM jsonb_to_recordset($1) b (team_id integer, start date, value numeric)
      FULL JOIN jsonb_to_recordset($2) a (team_id integer, start date, value numeric) USING (team_id, start)
      JOIN kpi.team t ON t.id = team_id
     ORDER BY kpi_internal.team_path(t.id), start
$$;
COMMENT ON FUNCTION kpi_internal.preview_kpi_difference(jsonb, jsonb, text) IS 'Two results of kpi_internal.preview_kpi_values() beside each other, with names';

CREATE FUNCTION kpi.preview_kpi(kpi text, formula text DEFAULT NULL, measure text DEFAULT NULL, filter text DEFAULT NULL,
                                owner text DEFAULT NULL, at text DEFAULT NULL, grain text DEFAULT 'month',
                                since date DEFAULT NULL, until date DEFAULT NULL)
    RETURNS TABLE (team text, period text, period_start date, old_value numeric, new_value numeric, difference numeric)
    VOLATILE LANGUAGE c AS 'MODULE_PATHNAME', 'kpi_sql_preview_kpi';
COMMENT ON FUNCTION kpi.preview_kpi(text, text, text, text, text, text, text, date, date) IS
'What kpi.alter_kpi() with this formula, or measure, filter, owner and at, would change, and nothing is changed: for each team and period of the grain that begins from since until before until (null: all) the value as it is and as it would be, and how much more that is. NULL: no value. Old values, and new ones of formulas, are as of the last refresh; new ones of a measure are made of the facts as they are now, which are read once, from since until until (with an index on the time only those), as the source''s definer: no writer waits for it, as it locks their table for a moment only. Errors: as kpi.alter_kpi(); no SELECT on the facts; a balance, or a lookup that the source does not have yet; grain unknown';

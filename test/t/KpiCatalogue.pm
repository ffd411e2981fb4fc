# What an extension consists of, as text, without a number that differs from one
# installation to another: for comparing an updated one with a new one.
package KpiCatalogue;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';

our @EXPORT = qw(catalogue_sql seed_sql);

# A text of a list of privileges.
sub acl
{
	my ($column) = @_;

	return qq{(SELECT string_agg(concat(a.grantee::regrole, '=', a.privilege_type, a.is_grantable), ' ' ORDER BY a.grantee::regrole::text, a.privilege_type)
		FROM aclexplode($column) a)};
}

# A comment on, and the privileges that DROP and dumps take as those of the start of, what "class" names.
sub notes
{
	my ($class, $oid, $sub) = @_;

	return qq{coalesce((SELECT note.description FROM pg_description note WHERE note.classoid = '$class'::regclass AND note.objoid = $oid AND note.objsubid = $sub), 'no comment'),
		} . acl(qq{(SELECT start.initprivs FROM pg_init_privs start WHERE start.classoid = '$class'::regclass AND start.objoid = $oid AND start.objsubid = $sub)});
}

# A query of (kind, name, what): rows of one are those of another installation, or
# they differ.
sub catalogue_sql
{
	my $oid = sub { my ($class, $column) = @_; return "$column IN (SELECT objid FROM member WHERE classid = '$class'::regclass)" };
	my $of_table = '(SELECT r.oid FROM relation r)';

	return q{
	WITH member AS MATERIALIZED (
		SELECT d.classid, d.objid FROM pg_depend d JOIN pg_extension e ON e.oid = d.refobjid
		 WHERE d.refclassid = 'pg_extension'::regclass AND d.deptype = 'e' AND e.extname = 'pg_kpi'),
	relation AS MATERIALIZED (SELECT c.* FROM pg_class c WHERE } . $oid->('pg_class', 'c.oid') . qq{),
	catalogue (kind, name, what) AS (
	SELECT 'member', i.type || ' ' || i.identity, NULL::text FROM member m, pg_identify_object(m.classid, m.objid, 0) i
	UNION ALL
	SELECT 'extension', e.extname, concat_ws(' ', e.extrelocatable, e.extnamespace::regnamespace, e.extowner::regrole) FROM pg_extension e WHERE e.extname = 'pg_kpi'
	UNION ALL
	SELECT 'dumped', c.relation::regclass::text, coalesce(c.condition, '')
	  FROM pg_extension e, unnest(e.extconfig, e.extcondition) c (relation, condition) WHERE e.extname = 'pg_kpi'
	UNION ALL
	SELECT 'schema', n.nspname, concat_ws(' | ', n.nspowner::regrole, @{[ acl('n.nspacl') ]}, @{[ notes('pg_namespace', 'n.oid', 0) ]})
	  FROM pg_namespace n WHERE @{[ $oid->('pg_namespace', 'n.oid') ]}
	UNION ALL
	SELECT 'function', p.oid::regprocedure::text, concat_ws(' | ', p.proowner::regrole,
		CASE p.prokind WHEN 'a' THEN (SELECT concat_ws(' ', p.prosrc, p.provolatile, p.proparallel, p.proargnames, p.provariadic::regtype, p.prorettype::regtype,
			(to_jsonb(a) - 'aggfnoid' - 'aggsortop' - 'aggtranstype' - 'aggmtranstype')::text, a.aggsortop::regoperator, a.aggtranstype::regtype, a.aggmtranstype::regtype)
			FROM pg_aggregate a WHERE a.aggfnoid = p.oid) ELSE pg_get_functiondef(p.oid) END,
		@{[ acl('p.proacl') ]}, @{[ notes('pg_proc', 'p.oid', 0) ]})
	  FROM pg_proc p WHERE @{[ $oid->('pg_proc', 'p.oid') ]}
	UNION ALL
	SELECT 'relation', c.oid::regclass::text, concat_ws(' | ', c.relkind, c.relpersistence, c.relowner::regrole, c.reloptions, c.relreplident, c.relrowsecurity,
		c.relispartition, c.relhastriggers, c.relhasrules, c.reltoastrelid <> 0, (SELECT reloptions FROM pg_class t WHERE t.oid = c.reltoastrelid),
		@{[ acl('c.relacl') ]}, @{[ notes('pg_class', 'c.oid', 0) ]})
	  FROM relation c
	UNION ALL
	SELECT 'view', c.oid::regclass::text, pg_get_viewdef(c.oid) FROM relation c WHERE c.relkind = 'v'
	UNION ALL
	SELECT 'sequence', s.seqrelid::regclass::text, (to_jsonb(s) - 'seqrelid')::text
	  FROM pg_sequence s WHERE @{[ $oid->('pg_class', 's.seqrelid') ]}
	UNION ALL
	SELECT 'column', format('%s.%s', a.attrelid::regclass, a.attname), concat_ws(' | ', a.attnum, format_type(a.atttypid, a.atttypmod), a.attnotnull,
		a.attidentity, a.attgenerated, a.attstorage, a.attcompression, a.attstattarget, a.attcollation::regcollation, a.attislocal,
		(SELECT string_agg(o, ' ' ORDER BY o) FROM unnest(a.attoptions) o WHERE o !~ '^pg_attver='), -- a number of the server's own
		(SELECT pg_get_expr(d.adbin, d.adrelid) FROM pg_attrdef d WHERE d.adrelid = a.attrelid AND d.adnum = a.attnum),
		@{[ acl('a.attacl') ]}, @{[ notes('pg_class', 'a.attrelid', 'a.attnum') ]})
	  FROM pg_attribute a JOIN relation r ON r.oid = a.attrelid WHERE a.attnum > 0
	UNION ALL
	SELECT 'constraint', format('%s %s', c.conrelid::regclass, c.conname), concat_ws(' | ', pg_get_constraintdef(c.oid), c.convalidated, c.condeferrable, @{[ notes('pg_constraint', 'c.oid', 0) ]})
	  FROM pg_constraint c WHERE c.conrelid IN $of_table
	UNION ALL
	SELECT 'index', i.indexrelid::regclass::text, concat_ws(' | ', pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisclustered, i.indisreplident, i.indimmediate, @{[ notes('pg_class', 'i.indexrelid', 0) ]})
	  FROM pg_index i WHERE i.indrelid IN $of_table
	UNION ALL
	SELECT 'trigger', format('%s %s', t.tgrelid::regclass, t.tgname), concat_ws(' | ', pg_get_triggerdef(t.oid), t.tgenabled)
	  FROM pg_trigger t WHERE t.tgrelid IN $of_table AND NOT t.tgisinternal
	UNION ALL
	SELECT 'rule', format('%s %s', r.ev_class::regclass, r.rulename), pg_get_ruledef(r.oid) FROM pg_rewrite r WHERE r.ev_class IN $of_table
	UNION ALL
	SELECT 'policy', format('%s %s', p.polrelid::regclass, p.polname), pg_get_expr(p.polqual, p.polrelid) FROM pg_policy p WHERE p.polrelid IN $of_table
	UNION ALL
	SELECT 'statistics', s.stxname, pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s WHERE s.stxrelid IN $of_table
	UNION ALL
	SELECT 'type', t.oid::regtype::text, concat_ws(' | ', t.typlen, t.typbyval, t.typtype, t.typcategory, t.typispreferred, t.typdelim, t.typelem::regtype, t.typinput, t.typoutput,
		t.typreceive, t.typsend, t.typmodin, t.typmodout, t.typanalyze, t.typalign, t.typstorage, t.typnotnull, t.typbasetype::regtype, t.typdefault, t.typowner::regrole,
		(SELECT string_agg(e.enumlabel, ' ' ORDER BY e.enumsortorder) FROM pg_enum e WHERE e.enumtypid = t.oid),
		(SELECT string_agg(pg_get_constraintdef(c.oid), ' ' ORDER BY c.conname) FROM pg_constraint c WHERE c.contypid = t.oid),
		@{[ acl('t.typacl') ]}, @{[ notes('pg_type', 't.oid', 0) ]})
	  FROM pg_type t WHERE @{[ $oid->('pg_type', 't.oid') ]}
	UNION ALL
	SELECT 'operator', o.oid::regoperator::text, concat_ws(' | ', o.oprresult::regtype, o.oprcom::regoperator, o.oprnegate::regoperator, o.oprcode, o.oprrest, o.oprjoin,
		o.oprcanmerge, o.oprcanhash, o.oprowner::regrole, @{[ notes('pg_operator', 'o.oid', 0) ]})
	  FROM pg_operator o WHERE @{[ $oid->('pg_operator', 'o.oid') ]}
	UNION ALL
	SELECT 'cast', format('%s to %s', c.castsource::regtype, c.casttarget::regtype), concat_ws(' | ', c.castfunc::regprocedure, c.castcontext, c.castmethod)
	  FROM pg_cast c WHERE @{[ $oid->('pg_cast', 'c.oid') ]}
	UNION ALL
	SELECT 'event trigger', e.evtname, concat_ws(' | ', e.evtevent, e.evtfoid::regprocedure, e.evtenabled, e.evttags)
	  FROM pg_event_trigger e WHERE @{[ $oid->('pg_event_trigger', 'e.oid') ]})
	SELECT kind, name, md5(what) AS sum, what FROM catalogue};
}

# A DO block that raises no error and leaves the rows of the extension's tables in a
# temporary one, without what is of the moment: times and catalog numbers.
sub seed_sql
{
	return q{
	CREATE TEMPORARY TABLE seed (name text, contents jsonb);
	DO $$
	DECLARE
		r record;
	BEGIN
		FOR r IN
			SELECT c.oid::regclass AS name,
				   (SELECT coalesce(array_agg(a.attname::text), '{}') FROM pg_attribute a
					 WHERE a.attrelid = c.oid AND a.attnum > 0 AND a.atttypid IN ('timestamptz'::regtype, 'oid'::regtype, 'xid'::regtype)) AS momentary
			  FROM pg_class c JOIN pg_depend d ON d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype = 'e'
			  JOIN pg_extension e ON e.oid = d.refobjid AND d.refclassid = 'pg_extension'::regclass
			 WHERE e.extname = 'pg_kpi' AND c.relkind = 'r'
		LOOP
			EXECUTE format('INSERT INTO seed SELECT %L, to_jsonb(t) - %L::text[] FROM %s t', r.name, r.momentary, r.name);
		END LOOP;
	END $$;
	};
}

1;

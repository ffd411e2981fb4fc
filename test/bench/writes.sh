# shellcheck shell=bash
# The part "writes" of test/bench/run, which sources this: what capture costs
# those who write.
#
# Each figure is of tables that are alike and see the same statements: one that
# nobody follows, one with a trigger in C that does nothing, and one that is
# captured.  Autovacuum is off, and each round begins with vacuumed tables and an
# empty queue.  For transactions from pgbench the CPU time is that of all backends,
# which the server's first process has in its account once they have ended; it is
# free of what pgbench takes and of who else uses the machine.

# the run and lib.sh set the variables
# shellcheck disable=SC2154

postmaster()
{
	head -n 1 "$run_dir/data/postmaster.pid"
}

# Microseconds that backends of the past have taken.
spent()
{
	awk -v tick="$(getconf CLK_TCK)" '{ printf "%.0f\n", ($16 + $17) * 1000000 / tick }' "/proc/$(postmaster)/stat"
}

# in_turns KINDS COMMAND...: runs the command for each kind of table, each round in
# another order.  What was captured is applied in between.
in_turns()
{
	local kinds round kind order

	read -ra kinds <<<"$1"
	shift
	for ((round = 0; round < rounds; round++)); do
		order=("${kinds[@]:round % ${#kinds[@]}}" "${kinds[@]:0:round % ${#kinds[@]}}")
		for kind in "${order[@]}"; do
			"$@" "$kind"
		done
		sql -c 'CALL kpi.refresh()' -c 'VACUUM'
	done
}

# tps STATEMENT CLIENTS SYNCHRONOUS_COMMIT CPUS KIND: transactions a second, and the
# CPU time of one.  CPUS is "all", or "spare": one is left to pgbench.
tps()
{
	local script=$run_dir/$1.$5 label=$1.$2.$3.$4.$5 pgbench=("$KPI_BINDIR/pgbench") before said n

	sed "s/@table@/one_$5/; s/@rows@/$small_rows/" "$bench_dir/sql/$1.pgbench" >"$script"
	if [ "$4" = spare ]; then
		taskset -pc "0-$(($(nproc) - 2))" "$(postmaster)" >/dev/null
		pgbench=(taskset -c "$(($(nproc) - 1))" "${pgbench[@]}")
	fi
	sleep 0.5
	before=$(spent)
	said=$(PGOPTIONS="-c synchronous_commit=$3" "${pgbench[@]}" -n -M prepared -c "$2" -j "$(at_most "$2" 2)" \
		-T "$seconds" -f "$script" "$db" 2>>"$run_dir/pgbench.log")
	# the last backends end after pgbench
	sleep 0.5
	n=$(sed -n 's/^number of transactions actually processed: \([0-9]*\).*/\1/p' <<<"$said")
	sed -n "s/^tps = \([0-9.]*\).*/$label tps \1/p" <<<"$said" >>"$results"
	awk -v label="$label" -v spent="$(($(spent) - before))" -v n="$n" \
		'BEGIN { print label, "cpu", spent / n }' >>"$results"
	[ "$4" = all ] || taskset -pc "0-$(($(nproc) - 1))" "$(postmaster)" >/dev/null
}

insert_select()
{
	measure insert_select 1 1 -v kind="$1"
}

# copy DAYS KIND
copy()
{
	measure copy 0 1 -v kind="$2" -v days="$1" -v csv="$run_dir/$1.csv"
}

unused()
{
	measure unused 0 1 -v kind="$1" -v rows="$few_rows"
}

# The update, and the most memory that the session had of its own (MB).
big_update()
{
	local job pid='' most=0 now

	PGAPPNAME=big_update measure big_update 0 1 -v kind="$1" &
	job=$!
	while kill -0 $job 2>/dev/null; do
		[ -n "$pid" ] ||
			pid=$(sql -c "SELECT pid FROM pg_stat_activity WHERE application_name = 'big_update' AND state = 'active'")
		now=$(awk '$1 == "RssAnon:" { print $2 }' "/proc/${pid:-none}/status" 2>/dev/null) || now=0
		[ "${now:-0}" -le "$most" ] || most=$now
		sleep 0.05
	done
	wait $job
	printf 'big_memory.%s is %d\n' "$1" $((most / 1024)) >>"$results"
}

# tps_row STATEMENT CLIENTS SYNCHRONOUS_COMMIT CPUS: measures and prints a row
tps_row()
{
	local label=$1.$2.$3.$4 title="${1^^}, clients: $2"

	progress "$1, $2 clients, synchronous_commit $3, CPUs: $4"
	in_turns 'plain captured' tps "$@"
	[ "$3" = off ] || title+=', synchronous_commit on'
	[ "$4" = all ] || title+=', a CPU for pgbench'
	printf '| %s | %s | %s | %s | %s | %s | %s |\n' "$title" \
		"$(figure "$label.plain" tps %.0f)" "$(figure "$label.captured" tps %.0f)" \
		"$(ratio "$label.captured" "$label.plain" tps)" \
		"$(figure "$label.plain" cpu %.1f)" "$(figure "$label.captured" cpu %.1f)" \
		"$(ratio "$label.plain" "$label.captured" cpu)"
}

# batch_row TITLE LABEL: CPU time
batch_row()
{
	printf '| %s | %s | %s | %s | %s | %s |\n' "$1" "$(figure "$2.plain" cpu %.0f)" \
		"$(figure "$2.empty" cpu %.0f)" "$(figure "$2.captured" cpu %.0f)" \
		"$(ratio "$2.plain" "$2.captured" cpu)" "$(ratio "$2.captured" "$2.plain" cpu)"
}

# each_row TITLE LABEL: the difference in µs for each row
each_row()
{
	local factor

	factor=$(awk -v rows="$few_rows" 'BEGIN { print 1000 / rows }')
	printf '| %s | %s | %s |\n' "$1" "$(difference "$2.empty" "$2.plain" cpu %.2f "$factor")" \
		"$(difference "$2.captured" "$2.empty" cpu %.2f "$factor")"
}

part_writes()
{
	local statement clients cpus copy_rows big_rows

	few_rows=$(at_most "$rows" 300000)
	big_rows=$(at_most "$rows" 3000000)
	copy_rows=$(at_most "$((rows / 10))" "$big_rows")
	set_up writes -v rows="$big_rows" -v small_rows="$small_rows" -v few_rows="$few_rows" \
		-v copy_rows="$copy_rows" -v scattered="$run_dir/scattered.csv" -v day="$run_dir/day.csv"
	sql -c 'ALTER SYSTEM SET autovacuum = off' -c 'SELECT pg_reload_conf()' >/dev/null
	cat <<TXT

## Writes

No worker runs. The share is what is left of the speed without capture: where its range has both sides of 1, no
difference was seen.

### Single rows

From pgbench, a statement in its own transaction, synchronous_commit off unless said. CPU is that of the backends for
one transaction (µs), and its share what a server has left that has nothing but this to do.

| | per second, no capture | pg_kpi | share | CPU, no capture | pg_kpi | share |
| --- | --- | --- | --- | --- | --- | --- |
TXT
	for cpus in all spare; do
		[ "$cpus" = all ] || [ "$(nproc)" -gt 1 ] || continue
		for statement in insert update; do
			for clients in 1 8 16; do
				tps_row $statement $clients off $cpus
			done
		done
	done
	for statement in insert update; do
		tps_row $statement 8 on all
	done

	progress 'statements of many rows'
	in_turns 'plain empty captured' insert_select
	in_turns 'plain empty captured' copy scattered
	in_turns 'plain empty captured' copy day
	in_turns 'plain empty captured' big_update
	cat <<TXT

### Statements of many rows

CPU time (ms). The deals are in no order: scattered means that hardly two of them have owner and day in common.

| | no capture | empty trigger | pg_kpi | share | times none |
| --- | --- | --- | --- | --- | --- |
$(batch_row 'INSERT … SELECT of 10000 rows' insert_select)
$(batch_row "COPY of $copy_rows rows, scattered" copy_scattered)
$(batch_row "COPY of $copy_rows rows of one day" copy_day)
$(batch_row "UPDATE of $big_rows rows, scattered, in one transaction" big_update)

The session of the last one had at most $(figure big_memory.plain is %.0f) MB of memory of its own without a trigger,
$(figure big_memory.empty is %.0f) MB with the empty one, and $(figure big_memory.captured is %.0f) MB with pg_kpi.
TXT

	progress 'updates of nothing that is used'
	in_turns 'plain empty captured' unused
	cat <<TXT

### An update that changes no used value

CPU time for each row (µs).

| | empty trigger, over none | pg_kpi, over the empty trigger |
| --- | --- | --- |
$(each_row "$few_rows rows in one statement" unused)
$(each_row "$few_rows statements" unused_single)
TXT
	sql -c 'ALTER SYSTEM RESET autovacuum' -c 'SELECT pg_reload_conf()' >/dev/null
	check one copy few big
}

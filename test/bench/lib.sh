# shellcheck shell=bash
# How test/bench/run measures and prints.
#
# What is measured stands in SQL files, between \ir on.sql and \ir off.sql.
# There the server itself says of each statement what it took
# (log_statement_stats): the CPU time of the backend, from getrusage(), and the
# time that passed.  On a machine that does other things too the first is the
# one to compare.  It is that of one process: parallel workers are not in it.
#
# A file gives a statement its label with \warn '@time' :label, and any other
# number with \warn '@is' label :number.  All numbers are kept as lines "label
# kind number" in $results, in the order of the rounds.

# shellcheck source=test/lib.sh
. "$(dirname "${BASH_SOURCE[0]}")/../lib.sh"

bench_dir=$KPI_ROOT/test/bench
# the database of the set-up in use; where numbers are kept: the run sets both
db='' results=''

progress()
{
	printf '%s  %s\n' "$(date +%T)" "$*" >&2
}

sql()
{
	"$KPI_BINDIR/psql" -X -q -A -t -v ON_ERROR_STOP=1 -d "$db" "$@"
}

# measure FILE WARM ROUNDS [psql's argument...]: runs sql/FILE.sql in one session,
# as often as WARM says to warm up, then ROUNDS times.  The arguments come
# before it.
measure()
{
	local file=$bench_dir/sql/$1.sql warm=$2 rounds=$3 arguments=() i

	shift 3
	arguments=("$@")
	for ((i = 0; i < warm; i++)); do
		arguments+=(-f "$file")
	done
	arguments+=(-c '\warn @keep')
	for ((i = 0; i < rounds; i++)); do
		arguments+=(-f "$file")
	done
	sql "${arguments[@]}" 2>&1 >/dev/null | awk -f "$bench_dir/collect.awk" >>"$results"
}

# measure_slow: the same for a statement that may take longer than $patience
# seconds, and is given up then: it leaves no number.
measure_slow()
{
	local said

	said=$(PGOPTIONS="-c statement_timeout=${patience:?}s" measure "$@" 2>&1) ||
		[[ $said == *'statement timeout'* ]] || kpi_fail "$said"
}

# numbers LABEL KIND: those of all rounds
numbers()
{
	awk -v label="$1" -v kind="$2" '$1 == label && $2 == kind { print $3 }' "$results"
}

# Median of the numbers on stdin, and their range in brackets; an awk format is
# for each.  spread FORMAT
spread()
{
	sort -g | awk -v format="$1" '
		{ v[NR] = $1 }
		END {
			if (NR == 0) { printf "–"; exit }
			median = NR % 2 ? v[(NR + 1) / 2] : (v[NR / 2] + v[NR / 2 + 1]) / 2
			printf format, median
			if (v[1] != v[NR]) printf " (" format " to " format ")", v[1], v[NR]
		}'
}

# figure LABEL KIND FORMAT [FACTOR]: prints median and range
figure()
{
	numbers "$1" "$2" | awk -v factor="${4:-1}" '{ print $1 * factor }' | spread "$3"
}

# read_figure LABEL FORMAT: CPU time of something that may have been given up
read_figure()
{
	if [ -n "$(numbers "$1" cpu)" ]; then
		figure "$1" cpu "$2"
	else
		printf 'over %s000' "$patience"
	fi
}

# ratio LABEL BASELINE KIND: the first divided by the second, round by round
ratio()
{
	paste <(numbers "$1" "$3") <(numbers "$2" "$3") | awk 'NF == 2 && $2 > 0 { print $1 / $2 }' | spread %.2f
}

# watch_memory LABEL: beside what follows, until unwatch_memory, keeps the most private
# memory, in megabytes, that a process of the database in use has at any time.
watch_memory()
{
	watching=$run_dir/watching
	touch "$watching"
	(
		peak=0
		while [ -e "$watching" ]; do
			for pid in $(pgrep -f "postgres: [^ ]* $db " || true); do
				now=$(awk '/^RssAnon/ { print $2 }' "/proc/$pid/status" 2>/dev/null || true)
				[ "${now:-0}" -le "$peak" ] || peak=$now
			done
			sleep 0.05
		done
		printf '%s is %d\n' "$1" $((peak / 1024)) >>"$results"
	) &
	watcher=$!
}

unwatch_memory()
{
	rm "$watching"
	wait "$watcher"
}

# difference LABEL BASELINE KIND FORMAT FACTOR: the first less the second, round by round
difference()
{
	paste <(numbers "$1" "$3") <(numbers "$2" "$3") |
		awk -v factor="$5" 'NF == 2 { print ($1 - $2) * factor }' | spread "$4"
}

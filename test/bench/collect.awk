# Of what psql says on stderr: the numbers, as "label kind number", once @keep
# has been seen.  What is not for us goes to stderr again.
$1 == "@keep" { keep = 1; next }
$1 == "@time" { label = $2; next }
$1 == "@is" { if (keep) print $2, "is", $3; next }
/ s user, .* s system, .* s elapsed$/ {
	if (keep) {
		print label, "cpu", 1000 * ($2 + $5)
		print label, "ms", 1000 * $8
	}
	next
}
/LOG:  QUERY STATISTICS$/ || /^DETAIL:  ! system usage stats:$/ || /^!\t/ { next }
{ print > "/dev/stderr" }

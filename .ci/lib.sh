# shellcheck shell=bash
# Shared by the scripts of this directory, each an entry of the matrix: what
# pg_kpi is tested on.  They run as root on a Debian machine, work on copies of
# what is committed below a new directory of /tmp, and remove it.
#
# Settings, from the environment:
#	KPI_MIRROR	where debootstrap gets packages (default: Debian's)
#	KPI_CHROOTS	a directory in which the Debians stay for the next time; the
#				copy of the project in them is made anew
set -eEuo pipefail

ci_root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)
ci_dir=$(mktemp -d /tmp/pg_kpi_ci.XXXXXX)
chmod a+rx "$ci_dir"
ci_user=''
ci_chroot=''

ci_clean_up()
{
	local status=$?

	trap - EXIT INT TERM
	[ -z "$ci_user" ] || userdel "$ci_user" 2>/dev/null || true
	if [ -n "$ci_chroot" ]; then
		umount "$ci_chroot/proc" "$ci_chroot/dev/shm" 2>/dev/null || true
	fi
	rm -rf --one-file-system "$ci_dir"
	exit "$status"
}
trap ci_clean_up EXIT
trap 'exit 130' INT TERM

ci_install()
{
	dpkg-query -W "$@" >/dev/null 2>&1 ||
		{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$@"; } >"$ci_dir/packages.log" 2>&1 ||
		{ tail -n 5 "$ci_dir/packages.log" >&2; exit 1; }
}

# ci_copy DIRECTORY: what is committed, as it is checked out.
ci_copy()
{
	mkdir -p "$1"
	(cd "$ci_root" && git ls-files -z | tar --null -T - -cf -) | tar -C "$1" -xf -
}

# Makes an ordinary user, with no right but to its home and /tmp: $ci_user.
ci_new_user()
{
	ci_user=kpi_ci_$$
	useradd --home-dir "$ci_dir/home" --create-home "$ci_user"
}

# ci_new_chroot RELEASE: a Debian with little but apt, below $KPI_CHROOTS or
# $ci_dir, and the project in its /pg_kpi.
ci_new_chroot()
{
	ci_install debootstrap
	ci_chroot=${KPI_CHROOTS:-$ci_dir}/$1
	# the script of debootstrap goes when it has come to its end
	if [ ! -d "$ci_chroot" ] || [ -d "$ci_chroot/debootstrap" ]; then
		rm -rf --one-file-system "$ci_chroot"
		debootstrap --variant=minbase "$1" "$ci_chroot" ${KPI_MIRROR:+"$KPI_MIRROR"} >"$ci_dir/debootstrap.log" 2>&1 ||
			{ tail -n 5 "$ci_dir/debootstrap.log" >&2; exit 1; }
	fi
	# a mirror that stands still has lists that are of age
	echo 'Acquire::Check-Valid-Until "false";' >"$ci_chroot/etc/apt/apt.conf.d/pg_kpi"
	mount -t proc proc "$ci_chroot/proc"
	mkdir -p "$ci_chroot/dev/shm"
	mount -t tmpfs shm "$ci_chroot/dev/shm"
	cp /etc/resolv.conf "$ci_chroot/etc/"
	rm -rf "$ci_chroot/pg_kpi"
	ci_copy "$ci_chroot/pg_kpi"
}

# With the settings of the tests, as test/run has them.
ci_in_chroot()
{
	local name settings=()

	for name in ${!KPI_@}; do
		settings+=("$name=${!name}")
	done
	chroot "$ci_chroot" env -i PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/root LANG=C.UTF-8 MAKEFLAGS="${MAKEFLAGS:-}" "${settings[@]}" "$@"
}

# shellcheck shell=bash
# Shared by test/run, test/demo/run and test/bench/run (bash): finds or
# installs what the project needs, builds it, and runs throwaway servers from a
# private copy of the machine's PostgreSQL.
#
# Settings, all optional, from the environment:
#	PG_CONFIG	the PostgreSQL to use; it must be complete (server and headers).
#				Unset: the newest supported one among those of Debian's packages
#				and the one in the path, and if there is none, the newest that
#				has packages.
#	MAKEFLAGS	as make sets it, so "make test with_llvm=no" reaches the build.

# Newest first. One that is not listed is not tested.
KPI_SUPPORTED='18 17 16 15'

KPI_ROOT=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd -P)

kpi_packages_log=$KPI_ROOT/log/packages.log

# Unset the ones that would lead clients to another server.
unset PGHOST PGHOSTADDR PGPORT PGDATABASE PGUSER PGSERVICE PGPASSWORD PGOPTIONS PGDATA
export PSQLRC=/dev/null PGAPPNAME=pg_kpi LC_ALL=C.UTF-8

kpi_say()
{
	printf '%s\n' "$*"
}

kpi_fail()
{
	printf '%s: error: %s\n' "${0##*/}" "$*" >&2
	exit 1
}

kpi_is_root()
{
	[ "$(id -u)" -eq 0 ]
}

# Is there a way to be root: by now, or with sudo, which may ask at a terminal?
kpi_may_be_root()
{
	kpi_is_root || { command -v sudo && { sudo -n true || : </dev/tty; }; } >/dev/null 2>&1
}

# Runs a command as root.
kpi_as_root()
{
	if kpi_is_root; then
		"$@"
	else
		sudo "$@"
	fi
}

# Runs a command as the user who owns the servers: PostgreSQL refuses root.
# Its standard input is empty unless the caller redirects it.
kpi_as_server()
{
	if kpi_is_root; then
		setpriv --reuid=postgres --regid=postgres --init-groups \
			env HOME=/tmp USER=postgres LOGNAME=postgres "$@"
	else
		"$@"
	fi
}

# A pg_config whose PostgreSQL has a server and can build extensions.
kpi_complete()
{
	local config=$1

	[ -x "$config" ] &&
		[ -x "$("$config" --bindir)/postgres" ] &&
		[ -f "$("$config" --pgxs)" ] &&
		[ -f "$("$config" --includedir-server)/postgres.h" ]
}

kpi_find_pg_config()
{
	local version in_path

	in_path=$(command -v pg_config) || true
	for version in $KPI_SUPPORTED; do
		for PG_CONFIG in "/usr/lib/postgresql/$version/bin/pg_config" "$in_path"; do
			if kpi_complete "$PG_CONFIG" && [[ $("$PG_CONFIG" --version) =~ ^PostgreSQL\ $version[^0-9] ]]; then
				return 0
			fi
		done
	done
	PG_CONFIG=''
	return 1
}

# Prints the newest supported version that has packages.
kpi_packaged_version()
{
	local version

	for version in $KPI_SUPPORTED; do
		if apt-cache show "postgresql-server-dev-$version" >/dev/null 2>&1; then
			printf '%s\n' "$version"
			return 0
		fi
	done
	return 1
}

# Once is enough.
kpi_update_packages()
{
	[ -z "${kpi_updated:-}" ] || return 0
	kpi_as_root apt-get update -qq </dev/null >>"$kpi_packages_log" 2>&1 ||
		kpi_fail "apt-get update fails: see $kpi_packages_log"
	kpi_updated=1
}

# kpi_install_packages PACKAGE...: those that are not there.  A new server gets
# no cluster.  What apt-get has to say goes into a file.
kpi_install_packages()
{
	local package missing=() no_cluster=/etc/postgresql-common/createcluster.d/pg_kpi.conf status=0

	for package in "$@"; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
			missing+=("$package")
	done
	[ ${#missing[@]} -gt 0 ] || return 0
	kpi_may_be_root || kpi_fail "not installed: ${missing[*]}; as root: apt-get install ${missing[*]}"

	mkdir -p "$(dirname "$kpi_packages_log")"
	kpi_say "installing ${missing[*]}"
	kpi_update_packages
	kpi_as_root mkdir -p "$(dirname $no_cluster)"
	kpi_as_root tee $no_cluster <<<'create_main_cluster = false' >/dev/null
	kpi_as_root env DEBIAN_FRONTEND=noninteractive \
		apt-get install -y -qq --no-install-recommends "${missing[@]}" </dev/null >>"$kpi_packages_log" 2>&1 || status=$?
	kpi_as_root rm -f $no_cluster
	[ $status -eq 0 ] || kpi_fail "apt-get cannot install ${missing[*]}: see $kpi_packages_log"
}

# kpi_setup [tests]: sets PG_CONFIG and KPI_BINDIR, installing what is missing
# to build, or to run the tests too.
kpi_setup()
{
	local tool version missing=() packages=()

	for tool in make gcc ps; do
		command -v $tool >/dev/null || { missing+=($tool) packages=(make gcc libc6-dev procps); }
	done
	if [ "${1:-}" = tests ] && ! perl -MIPC::Run -MTest::More -MTAP::Harness -e1 2>/dev/null; then
		missing+=('perl with IPC::Run') packages+=(perl libipc-run-perl)
	fi
	if [ -n "${PG_CONFIG:-}" ]; then
		PG_CONFIG=$(command -v "$PG_CONFIG") || kpi_fail "PG_CONFIG names no program"
		[ -x "$("$PG_CONFIG" --bindir)/postgres" ] || kpi_fail "there is no server where PG_CONFIG=$PG_CONFIG says"
		kpi_complete "$PG_CONFIG" ||
			kpi_fail "$("$PG_CONFIG" --version) of $PG_CONFIG has no headers: on Debian they are in a package postgresql-server-dev-NN"
	elif ! kpi_find_pg_config; then
		missing+=("PostgreSQL with its headers (one of $KPI_SUPPORTED)")
		if command -v apt-get >/dev/null; then
			if kpi_may_be_root; then
				mkdir -p "$(dirname "$kpi_packages_log")"
				kpi_update_packages
			fi
			version=$(kpi_packaged_version) || kpi_fail "apt knows no package postgresql-server-dev-NN, NN one of $KPI_SUPPORTED:" \
				"apt-get update as root, or install PostgreSQL otherwise and set PG_CONFIG"
			packages+=("postgresql-$version" "postgresql-server-dev-$version")
		fi
	fi
	if [ ${#missing[@]} -gt 0 ]; then
		command -v apt-get >/dev/null ||
			kpi_fail "install $(printf '%s, ' "${missing[@]}")and set PG_CONFIG: only Debian is set up automatically"
		kpi_install_packages "${packages[@]}"
		hash -r
		for tool in make gcc ps; do
			command -v $tool >/dev/null || kpi_fail "there is no $tool in the path"
		done
	fi
	[ -n "${PG_CONFIG:-}" ] || kpi_find_pg_config ||
		kpi_fail "no supported PostgreSQL ($KPI_SUPPORTED) although its packages are installed"
	! kpi_is_root || id postgres >/dev/null 2>&1 ||
		kpi_fail "PostgreSQL does not run as root, and there is no user postgres: run this as an ordinary user"
	export PG_CONFIG
	KPI_BINDIR=$("$PG_CONFIG" --bindir)
	export PATH="$KPI_BINDIR:$PATH"
}

# kpi_setup_extension EXTENSION PACKAGE: an extension of others, whose tests are
# skipped without it; of Debian's package postgresql-NN-PACKAGE.
kpi_setup_extension()
{
	local version why

	[ ! -f "$("$PG_CONFIG" --sharedir)/extension/$1.control" ] || return 0
	for version in $KPI_SUPPORTED; do
		[ "$PG_CONFIG" = "/usr/lib/postgresql/$version/bin/pg_config" ] || continue
		kpi_say "looking for postgresql-$version-$2"
		why=$(kpi_install_packages "postgresql-$version-$2" 2>&1) && return 0
	done
	kpi_say "$1 is not installed: its tests are skipped${why:+ (${why##*error: })}"
}

# kpi_build [VARIABLE=VALUE...]: builds for PG_CONFIG.
kpi_build()
{
	kpi_say "building for $("$PG_CONFIG" --version)"
	make -s -C "$KPI_ROOT" -j"$(nproc)" all PG_CONFIG="$PG_CONFIG" "$@"
}

# kpi_private_server DIR: copies the programs of PG_CONFIG's server below a
# directory, installs what was built into the copy, and from here on uses that:
# the machine's own PostgreSQL is not touched.  PostgreSQL finds its files
# from where its programs are, so the copy keeps their places to each other;
# headers are only linked to.
kpi_private_server()
{
	local root=$1/server kind path

	for kind in bindir pkglibdir sharedir pkgincludedir; do
		path=$("$PG_CONFIG" --$kind)
		[ ! -e "$root$path" ] || continue
		mkdir -p "$root$(dirname "$path")"
		if [ $kind = pkgincludedir ]; then
			ln -s "$path" "$root$path"
		else
			cp -a "$path" "$root$path"
		fi
	done
	PG_CONFIG=$root$("$PG_CONFIG" --bindir)/pg_config
	export PG_CONFIG
	KPI_BINDIR=$("$PG_CONFIG" --bindir)
	export PATH="$KPI_BINDIR:$PATH"
	make -s -C "$KPI_ROOT" install PG_CONFIG="$PG_CONFIG" >/dev/null
}

# Can the server's user enter this directory, and make install into it?  It
# includes PGXS by a name that may have no space in it.
kpi_reachable()
{
	[[ $1 != *[[:space:]]* ]] && kpi_as_server test -x "$1" -a -r "$1"
}

# A new directory that belongs to the server's user: below the given directory
# of the checkout, or in /tmp when a server cannot be there.
# Prints it.
kpi_new_dir()
{
	local parent=$1 dir

	mkdir -p "$parent"
	if kpi_reachable "$parent"; then
		dir=$(mktemp -d "$parent/pg_kpi.XXXXXX")
	else
		dir=$(mktemp -d /tmp/pg_kpi.XXXXXX)
	fi
	if kpi_is_root; then
		chown postgres: "$dir"
	fi
	printf '%s\n' "$dir"
}

# The directory where a server listens, for one whose files are in this one:
# the same, unless its name is too long for a socket's path.
kpi_socket_dir()
{
	local socket=$1/.s.PGSQL.5432.lock

	if [ ${#socket} -lt 107 ]; then
		printf '%s\n' "$1"
	else
		kpi_new_dir /tmp
	fi
}

# kpi_start DATA SOCKETS LOG [SETTING...]: makes a cluster that listens on a
# Unix socket only, lets every local user in, and is not crash-safe.
kpi_start()
(
	local data=$1 sockets=$2 log=$3 setting

	shift 3
	# initdb and pg_ctl complain where they may not be
	cd / || exit
	kpi_as_server "$KPI_BINDIR/initdb" --pgdata="$data" --username=postgres --auth=trust \
		--encoding=UTF8 --locale=C --no-sync >/dev/null </dev/null
	for setting in "listen_addresses = ''" "unix_socket_directories = '$sockets'" \
		"port = 5432" "fsync = off" "full_page_writes = off" "timezone = 'UTC'" "log_timezone = 'UTC'" "$@"; do
		printf '%s\n' "$setting"
	done | kpi_as_server tee -a "$data/postgresql.conf" >/dev/null
	kpi_as_server "$KPI_BINDIR/pg_ctl" --pgdata="$data" --log="$log" --wait --silent start </dev/null ||
		{ tail -n 20 "$log" >&2; kpi_fail "the server did not start"; }
)

# Stops the server of a data directory if there is one.
kpi_stop()
{
	[ ! -e "$1/postmaster.pid" ] ||
		(cd / && kpi_as_server "$KPI_BINDIR/pg_ctl" --pgdata="$1" --mode=immediate --wait --silent stop </dev/null >/dev/null 2>&1) ||
		true
}

# ---- under a tool that watches memory ----

# What KPI_SANITIZE says the objects are to be made with.
kpi_sanitize_flags()
{
	case $KPI_SANITIZE in
		undefined) echo 'COPT=-fsanitize=undefined' ;;
		valgrind) ;;
		*) kpi_fail "unknown tool \"$KPI_SANITIZE\": undefined or valgrind" ;;
	esac
}

# kpi_sanitize_server DIRECTORY: the private server runs under the tool, which
# writes what it finds to files of this directory.  What is undefined is told in the log of
# the server: its library is loaded when process titles stand where it looks for options.
kpi_sanitize_server()
{
	local server=$KPI_BINDIR/postgres

	mkdir -p "$1"
	chmod a+rwx "$1"
	[ "$KPI_SANITIZE" != undefined ] || return 0
	mv "$server" "$server.real"
	cat >"$server" <<-END
		#!/bin/bash
		case \$1 in -V | --version) exec "\$0.real" "\$@" ;; esac
		exec valgrind --quiet --trace-children=yes '--trace-children-skip=/bin/*,/usr/bin/*' --num-callers=40 --fullpath-after= \\
			--suppressions='$KPI_ROOT/test/valgrind.supp' --log-file='$1/report.%p' "\$0.real" "\$@"
	END
	chmod a+rx "$server"
}

# kpi_sanitize_reports DIRECTORY SERVER_LOG: what it has found that concerns our code; fails if that is anything.
kpi_sanitize_reports()
{
	local reports=$1/ours

	if [ "$KPI_SANITIZE" = undefined ]; then
		grep 'runtime error: ' "$2" | sort | uniq -c >"$reports" || true
	elif [ "$KPI_SANITIZE" = valgrind ]; then
		cat "$1"/report.* 2>/dev/null | sed 's/^==[0-9]*== \{0,1\}//' |
			awk -v RS= -v ours="$KPI_ROOT/src/" 'index($0, ours) && !seen[$0]++ { print $0 "\n" }' >"$reports"
	else
		cat "$1"/report.* >"$reports" 2>/dev/null || true
	fi
	cat "$reports"
	[ ! -s "$reports" ]
}

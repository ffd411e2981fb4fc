# For the tests of updates: scripts that lead to and from other versions of the
# extension, in the place where the server of these tests has its own.
package KpiVersion;

use strict;
use warnings FATAL => 'all';

use Exporter 'import';
use FindBin;
use PostgreSQL::Test::Utils;
use Test::More;

our @EXPORT = qw(%EXTENSION write_script);

# Where scripts are, and the version that is tested, with its script.
our %EXTENSION = (directory => extension_directory());
($EXTENSION{version}) = slurp_file("$EXTENSION{directory}/pg_kpi.control") =~ /^default_version = '(.*)'$/m;
$EXTENSION{script} = slurp_file("$EXTENSION{directory}/pg_kpi--$EXTENSION{version}.sql");

my @written;

sub extension_directory
{
	my $directory = `pg_config --sharedir`;

	chomp $directory;
	return "$directory/extension";
}

# Writes pg_kpi--<name>.sql, until this test ends.
sub write_script
{
	my ($name, $text) = @_;
	my $path = "$EXTENSION{directory}/pg_kpi--$name.sql";

	push @written, $path;
	append_to_file($path, $text);
	return;
}

END { unlink @written }

1;

# Asks for many things on one connection without waiting for the answers, and holds each answer to its own request.
use strict;
use warnings;
use Future;
use IO::Async::Loop;
use JSON::PP;
use Net::Async::HTTP;

my ($base, $file, $count) = @ARGV;
open(my $in, '<:raw', $file) or die "$file: $!";
my $octets = do { local $/; <$in> };

my $http = Net::Async::HTTP->new(pipeline => 1, max_in_flight => 10, max_connections_per_host => 1, timeout => 20);
IO::Async::Loop->new->add($http);

my ($requests, @wrong) = (0);
my @all = map {
	my $n = $_ * 37;
	$requests++;
	$http->GET("$base/_/bytes/$n")->then(
		sub {
			my ($answer) = @_;
			my $right = $answer->code == 200 && $answer->content eq substr($octets, 0, $n);
			push @wrong, "/_/bytes/$n: " . $answer->code . ', ' . length($answer->content) . ' octets' unless $right;
			Future->done;
		},
		sub { push @wrong, "/_/bytes/$n: $_[0]"; Future->done },
	);
} 1 .. $count;
Future->wait_all(@all)->get;
print encode_json({ requests => $requests, wrong => \@wrong });

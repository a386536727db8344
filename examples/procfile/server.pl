# A web server in what every base image has.
use strict;
use warnings;
use IO::Socket::INET;

$| = 1;
my $listener = IO::Socket::INET->new(LocalAddr => '0.0.0.0', LocalPort => $ENV{PORT}, Listen => 128, ReuseAddr => 1)
    or die "listen: $!";
$SIG{CHLD} = 'IGNORE';
$SIG{TERM} = sub { exit 0 };
print "listening on $ENV{PORT}\n";
while (my $conn = $listener->accept) {
    if (fork) { close $conn; next; }
    while (my $line = <$conn>) {
        while (defined(my $header = <$conn>)) { last if $header =~ /^\r?\n$/ }
        my $body = "Hello from a Procfile $ENV{PAAS_RELEASE} $ENV{DYNO}\n";
        print $conn "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
        $conn->flush;
    }
    exit 0;
}

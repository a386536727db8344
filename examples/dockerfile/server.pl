#!/usr/bin/perl
# A web server in a screen of Perl: it answers every request with index.txt.
use strict;
use warnings;
use IO::Socket::INET;

$SIG{TERM} = sub { exit 0 };
$SIG{CHLD} = 'IGNORE';
my $socket = IO::Socket::INET->new(LocalPort => 8080, Listen => 64, ReuseAddr => 1) or die "listen: $!";
while (1) {
    my $client = $socket->accept or next;
    if (!fork) {
        while (my $line = <$client>) { last if $line =~ /^\r?\n$/ }
        open my $file, '<', 'index.txt' or die "index.txt: $!";
        my $body = do { local $/; <$file> };
        print $client "HTTP/1.1 200 OK\r\nContent-Type: text/plain\r\nContent-Length: " . length($body) . "\r\nConnection: close\r\n\r\n$body";
        exit 0;
    }
    close $client;
}

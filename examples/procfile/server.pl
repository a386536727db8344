#!/usr/bin/perl
# A web server of one screen: a child for each connection, one request each.
use strict;
use warnings;
use IO::Socket::INET;

my $port   = $ENV{PORT} || 5000;
my $server = IO::Socket::INET->new(LocalPort => $port, Listen => 128, ReuseAddr => 1)
    or die "listen on $port: $!\n";

my $stopping = 0;
$SIG{TERM} = sub { $stopping = 1 };    # accept returns; children answer what they have
$SIG{CHLD} = sub { 1 while waitpid(-1, 1) > 0 };

$| = 1;
print "listening on $port\n";

until ($stopping) {
    my $client = $server->accept or next;
    my $child  = fork;
    if (defined $child && $child == 0) {
        $SIG{TERM} = 'IGNORE';
        answer($client);
        exit 0;
    }
    close $client;
}
close $server;
1 while waitpid(-1, 0) > 0;

sub answer {
    my ($client) = @_;
    alarm 10;    # for one who connects and says nothing
    my $request = <$client> // return;
    while (my $header = <$client>) { last if $header =~ /^\r?\n$/ }
    my ($status, $body) = $request =~ m{^(GET|HEAD) / } ? ('200 OK', greeting()) : ('404 Not Found', "not here\n");
    print {$client} "HTTP/1.1 $status\r\nContent-Type: text/plain; charset=utf-8\r\n",
        'Content-Length: ', length($body), "\r\nConnection: close\r\n\r\n";
    print {$client} $body unless $request =~ /^HEAD/;
}

sub greeting {
    my @who = grep { defined } @ENV{qw(PAAS_RELEASE DYNO)};
    return "Hello from Perl, by way of a Procfile @who\n";
}

# What comes through the doors: HTTP with everything that takes long (web), and echoes over TCP and UDP, on PORT
# and on what PORT_WEB, PORT_TCP and PORT_UDP say.
# An answer and an echo begin with the process's birth, so that its reader knows which instance spoke.
use strict;
use warnings;
use IO::Socket::INET;

$| = 1;
my $birth = time . '-' . int(rand(1e9));
my $kind = shift @ARGV;
my $more = $ENV{"PORT_\U$kind"};
$ENV{PORT} = $more if $more && !(my $twin = fork); # each process has one port
if ($kind eq 'udp') { udp() } else { tcp($kind eq 'tcp' ? \&echo : \&web) }

sub udp {
    my $socket = IO::Socket::INET->new(LocalAddr => '0.0.0.0', LocalPort => $ENV{PORT}, Proto => 'udp') or die "bind: $!";
    my $listener = IO::Socket::INET->new(LocalAddr => '0.0.0.0', LocalPort => $ENV{PORT}, Listen => 1, ReuseAddr => 1); # for checks
    while (defined $socket->recv(my $text, 65536)) { $socket->send("$birth $text") }
}

sub tcp {
    my ($serve) = @_;
    my $listener = IO::Socket::INET->new(LocalAddr => '0.0.0.0', LocalPort => $ENV{PORT}, Listen => 128, ReuseAddr => 1) or die "listen: $!";
    my $stopping = 0;
    $SIG{CHLD} = 'IGNORE';
    $SIG{TERM} = sub { $stopping = 1; close $listener };
    until ($stopping) {
        my $conn = $listener->accept or next;
        if (fork) { close $conn; next }
        $SIG{TERM} = 'IGNORE';
        close $listener;
        $serve->($conn);
        exit 0;
    }
    1 while wait != -1;
}

sub echo {
    my ($conn) = @_;
    syswrite $conn, "$birth\n";
    while (sysread $conn, my $text, 65536) { syswrite $conn, $text }
}

sub web {
    my ($conn) = @_;
    while (my $line = <$conn>) {
        my ($method, $path) = split ' ', $line;
        my %head;
        while (defined(my $h = <$conn>)) { last if $h =~ /^\r?\n$/; $head{lc $1} = $2 if $h =~ /^([^:]+):\s*(.*?)\r?\n$/ }
        return tunnel($conn) if $path eq '/ws';
        return stream($conn) if $path eq '/stream';
        my $left = $head{'content-length'} || 0;
        my $got = 0;
        while ($left > $got and my $n = read $conn, my $part, ($left - $got > 65536 ? 65536 : $left - $got)) { $got += $n }
        rest(0.5) if $path eq '/slow';
        my $body = "$birth $got $head{host} " . ($head{'x-forwarded-for'} || '-') . "\n";
        print $conn "HTTP/1.1 200 OK\r\nContent-Length: " . length($body) . "\r\n\r\n$body";
        $conn->flush;
    }
}

sub rest { select undef, undef, undef, shift }

# tunnel echoes after the handshake of RFC 6455 with the key of its section 1.3; its client sends no frames.
sub tunnel {
    my ($conn) = @_;
    my $accept = 's3pPLMBiTxaQ9kYGzzhZRbK+xOo=';
    print $conn "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: $accept\r\n\r\n";
    $conn->flush;
    while (sysread $conn, my $text, 65536) { syswrite $conn, $text }
}

# stream sends an event every tenth of a second for three seconds.
sub stream {
    my ($conn) = @_;
    print $conn "HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nTransfer-Encoding: chunked\r\nConnection: close\r\n\r\n";
    for my $n (1 .. 30) {
        my $event = "data: $n\n\n";
        print $conn sprintf("%x\r\n%s\r\n", length $event, $event);
        $conn->flush;
        rest(0.1);
    }
    print $conn "0\r\n\r\n";
    $conn->flush;
}

use strict;
use warnings;
use Greeting;
use Plack::Builder;

# Greeting is locked in cpanfile.snapshot and lies in vendor/cache; Plack and Starman are Debian's. So the build
# asks no archive of modules.
builder {
    enable 'ContentLength';
    sub {
        my $env = shift;
        return [404, ['Content-Type' => 'text/plain'], ["not here\n"]] if $env->{PATH_INFO} ne '/';
        return [200, ['Content-Type' => 'text/plain; charset=utf-8'], [Greeting::to("Perl $^V"), "\n"]];
    };
};

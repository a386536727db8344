package Greeting;

use strict;
use warnings;

sub to { return "Hello from $_[0]" }

1;

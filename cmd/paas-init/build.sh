#!/bin/sh
# Builds the container init: build.sh OUTPUT. It has no C library and no relocations; -fno-builtin keeps the
# compiler from turning its loops into calls of themselves.
set -eu
exec "${CC:-cc}" -Os -std=gnu11 -Wall -Wextra -Werror -static -nostdlib -ffreestanding -fno-builtin \
	-fno-stack-protector -fno-pie -no-pie -fno-asynchronous-unwind-tables -fcf-protection=none \
	-Wl,-z,noexecstack,-z,norelro,--build-id=none -s -o "$1" "$(dirname "$0")/init.c"

#!/bin/sh
# Prints the path of a Go that builds this source (go.mod says which), fetching one when the machine has
# none or an older one. --dry-run says what it would do and prints the Go that it would start from.
set -eu

at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; } # VERSION MINIMUM
say() { printf '%s\n' "$*" >&2; }
own() { (cd / && GOTOOLCHAIN=local "$1" env GOVERSION 2>/dev/null | sed 's/^go//'); } # GO: its version; / has no go.mod
candidates() { printf '%s\n' "${PAAS_GO:-}" "$(command -v go || true)" /usr/local/go/bin/go; }

# Go 1.21 and newer fetch a toolchain themselves. Debian 12's Go 1.19 does not know how, but a toolchain is a
# module like any other, fetched and verified like any other; only its executable bits must be set by hand.
fetch() { # GO VERSION
	if at_least "$(own "$1")" 1.21; then
		root=$(cd / && GOTOOLCHAIN=go$2 "$1" env GOROOT)
	else
		(cd / && "$1" mod download "golang.org/toolchain@v0.0.1-go$2.linux-amd64")
		root=$(cd / && "$1" env GOMODCACHE)/golang.org/toolchain@v0.0.1-go$2.linux-amd64
		chmod +x "$root"/bin/* "$root"/pkg/tool/*/*
	fi
	[ "$(own "$root/bin/go")" = "$2" ] && printf '%s\n' "$root/bin/go"
}

install_any() {
	command -v apt-get >/dev/null || return 0
	say "Installing Debian's Go (golang-go)"
	[ "$dry" = 0 ] || return 0
	{ apt-get update -qq && DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends \
		golang-go ca-certificates; } >&2
}

main() {
	dry=0 && [ "${1:-}" != --dry-run ] || dry=1
	want=$(awk '$1 == "go" { print $2 }' "$(dirname "$0")/../../go.mod") start=''
	for go in $(candidates); do
		[ -x "$go" ] || continue
		if at_least "$(own "$go")" "$want"; then printf '%s\n' "$go" && return; fi
		start=${start:-$go}
	done
	[ -n "$start" ] || install_any
	start=${start:-$(command -v go || echo go)}
	say "Getting Go $want, which this source needs, through $start"
	if [ "$dry" = 1 ]; then printf '%s\n' "$start" && return; fi
	fetch "$start" "$want" && return
	say " !     Go $want is needed and could not be fetched"
	say "       unpack it to /usr/local/go as the Go project describes and try again"
	return 1
}

main "$@"

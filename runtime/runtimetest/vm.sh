#!/usr/bin/env bash
# Runs the runtime's tests on another machine: another kernel, cgroup v2, systemd. Needs Go here, and
# there root by ssh, Linux 5.12 or later, nftables and some 300 MB in /var/tmp; no Go, no network.
#
#   vm.sh HOST [PACKAGE...]     TEST_FLAGS='-test.run X -test.v' SSH='ssh -p 2222 -i key' vm.sh root@127.0.0.1
set -euo pipefail
cd "$(dirname "$0")/../.."
host=${1:?usage: vm.sh HOST [PACKAGE...]}
shift
packages=("${@:-}")
[ -n "${packages[0]}" ] || packages=(runtime/hostile runtime/fault runtime runtime/network runtime/image runtime/seccomp runtime/ring)
go=${PAAS_GO:-go}
PATH=$(dirname "$(command -v "$go")"):$PATH
read -ra ssh <<<"${SSH:-ssh}"
read -ra flags <<<"-test.timeout 120m ${TEST_FLAGS:-}"
there=/var/tmp/paas-tests
here=$(mktemp -d)
trap 'rm -rf "$here"' EXIT

# Programs that tests run are built here; PAAS_TEST_PROGRAMS tells the tests where they are.
mkdir "$here/programs"
"$go" run ./runtime/runtimetest/program/build "$here/programs" paas/cmd/paas-init paas/runtime/hostile/attack
for package in "${packages[@]}"; do
	CGO_ENABLED=0 "$go" test -c -o "$here/$(tr / - <<<"$package").test" "./$package"
done
cp "$(command -v busybox)" "$here/busybox" # a static one: package busybox-static

tar -C "$here" -czf - . | "${ssh[@]}" "$host" "rm -rf $there && mkdir -p $there && tar -C $there -xzf -"
status=0
for package in "${packages[@]}"; do
	echo "=== $package"
	# The tests look for busybox in /bin; a machine without gets this one for the time.
	"${ssh[@]}" "$host" "cd $there && export PAAS_TEST_PROGRAMS=$there/programs && { [ -e /bin/busybox ] || cp busybox /bin/; } &&
		./$(tr / - <<<"$package").test $(printf '%q ' "${flags[@]}")" || status=1
done
exit "$status"

#!/bin/sh
# A private platform for trying paas out: everything is under ./.demo (PAAS_DEMO_DIR), it listens on the
# loopback only, and it shares nothing with an installed paas.
#   demo.sh start   build, start, push an example app with git, check that it answers
#   demo.sh stop    end all of it; the directory stays, so that the next start takes seconds
set -eu

say() { printf '%s\n' "$*"; }
step() { printf '\n==> %s\n' "$*"; }
die() { # SENTENCE [HINT]
	printf ' !     %s\n' "$1" >&2
	[ -z "${2:-}" ] || printf '       %s\n' "$2" >&2
	exit 1
}
at_demo() { readlink "/proc/$1/exe" 2>/dev/null | grep -q "^$demo/bin/paas"; } # PID; "(deleted)" may follow
running() { [ -f "$demo/pid" ] && at_demo "$(cat "$demo/pid")"; }

packages() { # PACKAGE=WHAT-IT-BRINGS...
	missing=''
	for pair; do
		command -v "${pair#*=}" >/dev/null || [ -e "${pair#*=}" ] || missing="$missing ${pair%%=*}"
	done
	[ -n "$missing" ] || return 0
	command -v apt-get >/dev/null || die "missing:$missing" "install them, then run this again"
	step "Installing$missing"
	apt-get update -qq
	# shellcheck disable=SC2086 # a list of words
	DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}

build() {
	step "Building paas"
	make --no-print-directory -sC "$root" build BIN="$demo/bin.new" PAAS_GO="$(sh "$root/cmd/paas/go.sh")"
	mkdir -p "$demo/bin"
	for program in paas-init paas; do
		cmp -s "$demo/bin.new/$program" "$demo/bin/$program" && continue
		end_daemon # apps keep running while their daemon is replaced
		mv -f "$demo/bin.new/$program" "$demo/bin/$program"
	done
	rm -rf "$demo/bin.new"
}

end_daemon() {
	running || return 0
	pid=$(cat "$demo/pid")
	kill "$pid"
	for _ in $(seq 300); do
		at_demo "$pid" || break
		sleep 0.1
	done
	! at_demo "$pid" || die "the demo's paas (process $pid) does not end" "its log: $demo/paas.log"
	rm -f "$demo/pid"
}

listens() { # PORT; in /proc/net/tcp 0A is LISTEN
	cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" { print $2 }' | grep -q ":$(printf '%04X' "$1")$"
}
free_port() { # FIRST
	port=$1
	while listens "$port"; do port=$((port + 1)); done
	say "$port"
}

start_daemon() {
	[ -f "$demo/key" ] || ssh-keygen -q -t ed25519 -N '' -C demo -f "$demo/key"
	"$demo/bin/paas" setup --data "$demo/data" --name demo --admin-key "$demo/key.pub" --prepare
	free_port 8080 >"$demo/http"
	free_port 8022 >"$demo/ssh"
	# A session of its own: Ctrl-C at this terminal is not for the daemon.
	setsid "$demo/bin/paas" serve --data "$demo/data" --domain localhost --http "127.0.0.1:$(cat "$demo/http")" \
		--ssh "127.0.0.1:$(cat "$demo/ssh")" </dev/null >>"$demo/paas.log" 2>&1 &
	echo $! >"$demo/pid"
	for _ in $(seq 300); do
		listens "$(cat "$demo/ssh")" && listens "$(cat "$demo/http")" && return
		kill -0 "$(cat "$demo/pid")" 2>/dev/null || break
		sleep 0.1
	done
	tail -n 20 "$demo/paas.log" >&2
	die "paas did not start" "its log: $demo/paas.log"
}

client_files() {
	cat >"$demo/ssh_config" <<C
Host paas
    HostName 127.0.0.1
    Port $(cat "$demo/ssh")
    User paas
    HostKeyAlias paas-demo
    IdentityFile "$demo/key"
    IdentitiesOnly yes
    UserKnownHostsFile "$demo/known_hosts"
    StrictHostKeyChecking accept-new
C
}

push() {
	step "Pushing $app to it with git"
	[ -d "$demo/$app" ] || cp -R "$example" "$demo/$app" # later it is the person's own
	cd "$demo/$app"
	[ -d .git ] || git init -q -b main
	git add -A
	git diff --cached --quiet || # a machine may have no git identity, and may sign
		git -c user.name=demo -c user.email=demo@localhost -c commit.gpgsign=false commit -q -m "$app"
	git remote get-url paas >/dev/null 2>&1 || git remote add paas "paas:$app"
	git config core.sshCommand "ssh -F '$demo/ssh_config'"
	git push paas main
	cd "$root"
}

show() {
	host=$app.localhost url=http://$app.localhost:$(cat "$demo/http")
	step "GET $url"
	curl -fsS --max-time 20 --retry 20 --retry-delay 1 --resolve "$host:$(cat "$demo/http"):127.0.0.1" "$url/" | head -c 400
	cat <<T


$app is live at $url

Change it:       edit a file in $demo/$app, commit, git push paas main
Push your own:   git remote add paas paas:myapp
                 git config core.sshCommand "ssh -F '$demo/ssh_config'"
                 git push paas main
Ask it:          ssh -F $demo/ssh_config paas help
                 ssh -F $demo/ssh_config paas logs $app
                 ssh -F $demo/ssh_config paas ps:scale $app web=3
End it:          sudo make demo-stop
T
}

# give_back lets the person behind sudo use the key and the repository.
give_back() {
	[ -n "${SUDO_UID:-}" ] || return 0
	chown "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$demo" "$demo"/key* "$demo/ssh_config" "$demo/known_hosts"
	chown -R "$SUDO_UID:${SUDO_GID:-$SUDO_UID}" "$demo/$app"
}

start() {
	packages git=git openssh-client=ssh curl=curl make=make gcc=gcc libc6-dev=/usr/include/stdio.h \
		mmdebstrap=mmdebstrap ca-certificates=/etc/ssl/certs/ca-certificates.crt
	[ -d "$example" ] || die "there is no example app $example"
	mkdir -p "$demo" && build
	step "Starting a private platform in $demo"
	if running; then say "it runs"; else start_daemon; fi
	client_files
	push
	give_back
	show
}

stop() {
	[ -x "$demo/bin/paas" ] || { say "No demo in $demo." && return; }
	end_daemon
	"$demo/bin/paas" uninstall --data "$demo/data"
	say "Stopped. Images and apps are still in $demo: make demo goes on from there, rm -rf removes them."
}

main() {
	PATH=$PATH:/usr/local/go/bin:/usr/sbin:/sbin HOME=${HOME:-/root}
	export PATH HOME
	root=$(cd "$(dirname "$0")/../.." && pwd)
	demo=$(realpath -m "${PAAS_DEMO_DIR:-$root/.demo}")
	example=${PAAS_DEMO_APP:-$root/examples/node} app=$(basename "$example")
	[ "$(id -u)" = 0 ] || die "containers need root" "sudo make demo"
	# sun_path of a unix socket holds 108 bytes.
	[ ${#demo} -le 80 ] || die "the path $demo is too long for a socket" "choose a shorter one: PAAS_DEMO_DIR=/var/tmp/demo"
	case ${1:-} in
	start | stop) "$1" ;;
	*) die "usage: demo.sh start|stop" ;;
	esac
}

main "$@"

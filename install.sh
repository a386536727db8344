#!/bin/sh
# Installs, upgrades or removes paas on a Debian or Ubuntu server. Nothing runs before the last line, so a
# script that was cut short in transfer does nothing. --help lists the options.
set -eu

usage() { cat <<'U'
usage: sudo sh install.sh [OPTIONS]
Installs paas, or upgrades it when it is there; a second run changes nothing.
  --domain NAME         apps answer at APP.NAME (default: this machine's address under sslip.io)
  --admin-key FILE|KEY  public SSH key that may do everything; repeatable
                        (default: the keys in your ~/.ssh/authorized_keys)
  --http-port PORT 80   --https-port PORT|off 443 beside 80   --ssh-port PORT 2222   --data DIR /var/lib/paas
  --from-source         build the clone that this script lies in (default)
  --archive FILE        install paas_VERSION_linux_amd64.tar.gz; SHA256SUMS must lie beside it
  --no-start            install, but do not start
  --upgrade             refuse to make a new installation; apps keep running through an upgrade
  --uninstall           stop everything and remove the program; data and configuration stay
  --purge --confirm HOSTNAME   with --uninstall: remove the data and configuration too
  --dry-run             print every action and change nothing
Environment: PAAS_BIN_DIR (/usr/local/bin), PAAS_SKIP_START=1 (as --no-start).
U
}

say() { printf '%s\n' "$*"; }
die() { # SENTENCE [HINT [STATUS]]
	printf ' !     %s\n' "$1" >&2
	[ -z "${2:-}" ] || printf '       %s\n' "$2" >&2
	exit "${3:-1}"
}
run() { if [ "$dry" = 1 ]; then say "would run: $*"; else "$@"; fi; }
has() { command -v "$1" >/dev/null 2>&1; }
at_least() { [ "$(printf '%s\n%s\n' "$2" "$1" | sort -V | head -n 1)" = "$2" ]; } # VERSION MINIMUM
setting() { sed -n "s/^ *$1 *= *\"\(.*:\)\{0,1\}\(.*\)\" *\$/\2/p" "$config" 2>/dev/null || true; } # KEY; of an address, its port
with_systemd() { [ -d /run/systemd/system ]; } # what sd_booted(3) looks at
stands_still() { with_systemd && ! systemctl is-active -q paas; }
write() { # FILE MODE < TEXT
	if [ "$dry" = 1 ]; then say "would write $1:" && sed 's/^/    /' && return; fi
	mkdir -p "$(dirname "$1")" && cat >"$1.new" && chmod "$2" "$1.new" && mv -f "$1.new" "$1"
}

parse() {
	mode=install dry=0 purge=0 confirm='' archive='' keys='' domain='' http_port='' https_port='' ssh_port='' data=''
	start=1 && [ "${PAAS_SKIP_START:-0}" != 1 ] || start=0
	bin=${PAAS_BIN_DIR:-/usr/local/bin} config=/etc/paas/paas.toml unit=/etc/systemd/system/paas.service
	certificates=ca-certificates=/etc/ssl/certs/ca-certificates.crt
	while [ $# -gt 0 ]; do
		case "$1" in
		--*=*) word=$1 && shift && set -- "${word%%=*}" "${word#*=}" "$@" && continue ;;
		--domain | --admin-key | --http-port | --https-port | --ssh-port | --data | --archive | --confirm)
			[ -n "${2:-}" ] || die "$1 needs a value" "see --help" 2
			value "$1" "$2" && shift ;;
		--upgrade | --uninstall) mode=${1#--} ;;
		--from-source) archive='' ;; --no-start) start=0 ;; --purge) purge=1 ;; --dry-run) dry=1 ;;
		-h | --help) usage && exit 0 ;;
		*) die "install.sh has no option $1" "see --help" 2 ;;
		esac
		shift
	done
	[ $purge = 0 ] || [ "$mode" = uninstall ] || die "--purge goes with --uninstall only" "see --help" 2
}
value() { # OPTION VALUE
	form='.+' port='[1-9][0-9]{0,3}|[1-5][0-9]{4}|6[0-4][0-9]{3}|65[0-4][0-9]{2}|655[0-2][0-9]|6553[0-5]'
	case "$1" in
	--http-port) http_port=$2 form=$port ;; --https-port) https_port=$2 form="off|$port" ;;
	--ssh-port) ssh_port=$2 form=$port ;;
	--domain) domain=$2 form='[a-z0-9]([a-z0-9.-]*[a-z0-9])?' ;;
	--data) data=$2 form='/[A-Za-z0-9._/-]+' ;; --archive) archive=$2 ;; --confirm) confirm=$2 ;;
	--admin-key) keys=$(printf '%s\n%s' "$keys" "$2") ;;
	esac
	printf '%s\n' "$2" | grep -Eqx -- "$form" || die "$2 does not fit $1" "see --help" 2
}
defaults() { # what no option says, the configuration of an earlier run does
	[ ! -f "$config" ] || [ -z "$domain$data$http_port$https_port$ssh_port" ] || [ "$mode" = uninstall ] ||
		say "$config stays as it is; options that differ from it are ignored."
	if [ -f "$config" ]; then
		domain=$(setting domain) data=$(setting data)
		http_port=$(setting http) https_port=$(setting https) ssh_port=$(setting ssh)
	fi
	data=${data:-/var/lib/paas} http_port=${http_port:-80} ssh_port=${ssh_port:-2222}
	address=$(ip -4 -o route get 192.0.2.1 2>/dev/null | sed -n 's/.* src \([0-9.]*\).*/\1/p')
	address=${address:-$(hostname -I 2>/dev/null | awk '{ print $1 }')}
	address=${address:-127.0.0.1} && domain=${domain:-$address.sslip.io}
}

mark() { if "$@"; then say ✓; else say ✗; fi; } # TEST...
check() { # MARK NAME FINDING FIX
	printf '  %s %-11s %s\n' "$1" "$2" "$3"
	[ "$1" = ✓ ] || printf '                -> %s\n' "$4"
	[ "$1" != ✗ ] || bad=$((bad + 1))
}
preflight() {
	bad=0 && say "Checking this machine:"
	check "$(mark [ "$(id -u)" = 0 ])" user "$(id -un)" "run it with sudo"
	check "$(mark [ "$(uname -m)" = x86_64 ])" processor "$(uname -m)" "paas runs on x86_64 only"
	check_kernel
	check_cgroups
	check_room
	check_port "HTTP port" "$http_port" --http-port; [ "${https_port:-off}" = off ] || check_port "HTTPS port" "$https_port" --https-port
	check_port "SSH port" "$ssh_port" --ssh-port
	# Docker and ufw drop what is forwarded unless told otherwise, and another table's accept cannot help that.
	if has iptables && iptables -S 2>/dev/null | grep -q '^-P FORWARD DROP' && ! iptables -S | grep -q -- '-i pv.*ACCEPT'; then
		fix='ufw route allow in on pv+ && ufw allow in on pv+ to any port 53' && iptables -S | grep -q ufw-user-forward || fix="iptables -I FORWARD -i 'pv+' -j ACCEPT (and -o)"
		check "$(mark [ -f "$data/paas.db" ])" firewall "drops what is forwarded" "let builds and apps out: $fix"; fi
	# TLS and package signatures fail on a machine that lives before they were made.
	check "$(mark [ "$(date +%Y)" -ge 2026 ])" clock "$(date -u +%FT%TZ)" "set it: timedatectl set-ntp true"
	[ $bad = 0 ] || [ $dry = 1 ] || die "$bad of these must be fixed first; nothing was changed"
}
check_kernel() {
	# 5.19 is the first whose overlayfs takes id-mapped layers; 6.1 the oldest that this was run on.
	check "$(mark at_least "$(uname -r)" 6.1)" kernel "$(uname -r)" "6.1 or newer is needed: upgrade the distribution"
	# A function of its own in the kernel's symbol table: the feature is built in, or its module is loaded.
	for pair in overlay=ovl_fill_super veth=veth_xmit nf_tables=nft_do_chain; do
		if grep -qw "${pair#*=}" /proc/kallsyms; then check ✓ "${pair%=*}" present
		else check "$(mark modprobe -nq "${pair%=*}")" "${pair%=*}" "kernel module" "install the distribution's own kernel"; fi
	done
	max=$(cat /proc/sys/user/max_user_namespaces 2>/dev/null || echo 0)
	check "$(mark [ "$max" -gt 0 ])" userns "at most $max" "sysctl -w user.max_user_namespaces=15000 (and in /etc/sysctl.d)"
	type=$(stat -f -c %T "$(nearest "$data")")
	case $type in ext2/ext3 | xfs | btrfs | f2fs) m=✓ ;; *) m=! ;; esac
	check $m id-mapping "$data is on $type" "ext4, xfs and btrfs are known to allow id-mapped mounts"
}
check_cgroups() {
	if [ -f /sys/fs/cgroup/cgroup.controllers ]; then version=v2 have=$(cat /sys/fs/cgroup/cgroup.controllers); else
		version=v1 have=$(awk '$4 == 1 { printf "%s ", $1 }' /proc/cgroups 2>/dev/null || true); fi
	lacks=''
	for c in memory cpu pids; do case " $have " in *" $c "*) ;; *) lacks="$lacks $c" ;; esac; done
	check "$(mark [ -z "$lacks" ])" cgroups "$version${lacks:+, without$lacks}" "boot with cgroup_enable=memory"
}
check_room() {
	memory=$(awk '/^MemTotal/ { print int($2 / 1024) }' /proc/meminfo)
	# A machine sold with 512 MiB shows about 460: the kernel keeps some.
	if [ "$memory" -ge 440 ] && [ "$memory" -lt 940 ]; then check ! memory "$memory MiB" "add swap, or large builds may fail"
	else check "$(mark [ "$memory" -ge 940 ])" memory "$memory MiB" "512 MiB is the least"; fi
	disk=$(df -Pk "$(nearest "$data")" | awk 'NR == 2 { print int($4 / 1048576) }')
	check "$(mark [ "$disk" -ge 5 ])" disk "$disk GiB free for $data" "5 GiB are needed: make room, or choose --data DIR"
}
check_port() { # NAME PORT OPTION
	holder=$(port_holder "$2")
	case $holder in
	'') check ✓ "$1" "$2 is free" ;;
	paas\ *) check ✓ "$1" "$2 is held by paas itself" ;;
	*) check ✗ "$1" "$2 is held by $holder" "stop that program, or choose another: $3 PORT" ;;
	esac
}
port_holder() { # PORT
	cat /proc/net/tcp /proc/net/tcp6 2>/dev/null | awk '$4 == "0A" { print $2 }' | grep -q ":$(printf '%04X' "$1")$" || return 0
	name='' # /proc/net/tcp: 0A is LISTEN; it names no program
	! has ss || name=$(ss -Hltnp "sport = :$1" | sed -n 's/.*(("\([^"]*\)",pid=\([0-9]*\).*/\1 (process \2)/p' | head -n 1)
	say "${name:-another program}"
}
nearest() { dir=$1 && while [ ! -d "$dir" ]; do dir=$(dirname "$dir"); done && say "$dir"; } # existing directory above

packages() { # PACKAGE=WHAT-IT-BRINGS...
	missing=''
	for pair; do has "${pair#*=}" || [ -e "${pair#*=}" ] || missing="$missing ${pair%%=*}"; done
	[ -n "$missing" ] || return 0
	has apt-get || die "missing:$missing" "install them with this distribution's package manager, then run this again"
	run apt-get update -qq
	say "Installing$missing"
	# shellcheck disable=SC2086 # a list of words
	[ $dry = 1 ] || DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
}
obtain() { # puts paas, paas-init and paas.service into $work
	if [ -n "$archive" ]; then
		from_archive
	elif grep -qsx 'module paas' "$here/go.mod"; then
		packages gcc=gcc libc6-dev=/usr/include/stdio.h make=make git=git $certificates
		if [ $dry = 1 ]; then go=$(sh "$here/cmd/paas/go.sh" --dry-run); else go=$(sh "$here/cmd/paas/go.sh"); fi
		run make --no-print-directory -sC "$here" build BIN="$work" PAAS_GO="$go"
		cp "$here/cmd/paas/paas.service" "$work/paas.service"
	elif [ -f "$here/paas" ]; then # an unpacked archive
		cp "$here/paas" "$here/paas-init" "$here/paas.service" "$work"
	else
		die "there is nothing to install beside this script" "run it in a clone of the source, or give --archive FILE"
	fi
	packages mmdebstrap=mmdebstrap $certificates openssh-client=ssh-keygen
}
from_archive() {
	name=$(basename "$archive") sums=$(dirname "$archive")/SHA256SUMS
	for f in "$archive" "$sums"; do [ -f "$f" ] || die "there is no file $f" "an archive comes with its SHA256SUMS"; done
	want=$(awk -v n="$name" '$2 == n || $2 == "*" n { print $1 }' "$sums") have=$(sha256sum <"$archive")
	[ "$want" = "${have%% *}" ] || die "$name is not what SHA256SUMS says; nothing was installed" "fetch both again"
	tar -xzf "$archive" -C "$work" --no-same-owner paas paas-init paas.service
}

admin_keys() { # leaves the first admins' keys in $work/keys; none when there are admins already
	say "$keys" | while read -r key; do cat "$key" 2>/dev/null || say "$key"; done | grep . >"$work/keys" || true
	[ ! -s "$work/keys" ] && [ ! -f "$data/paas.db" ] || return 0
	user=${SUDO_USER:-root} && file=$(getent passwd "$user" | cut -d: -f6)/.ssh/authorized_keys
	# A line that begins with options (command=, from=, cert-authority) gives less than a login; it makes no admin.
	[ ! -r "$file" ] || grep -E '^(ssh-|ecdsa-|sk-)' "$file" >"$work/keys" || true
	[ -s "$work/keys" ] ||
		die "paas needs a first admin, and $file has no key" "add --admin-key FILE or --admin-key 'ssh-ed25519 AAAA…'"
	say "These keys of $user ($file) become admins of paas:"
	if has ssh-keygen; then ssh-keygen -lf "$work/keys" | sed 's/^/    /'; else sed 's/^/    /' "$work/keys"; fi
	[ $dry = 0 ] && [ -t 0 ] && printf 'Go on? [Y/n] ' && read -r answer || answer=''
	case $answer in [nN]*) die "stopped; nothing was changed" "choose keys with --admin-key" ;; esac
}

place() { # NAME FILE MODE: keeps the old one as FILE.old until the new one has proven itself
	if cmp -s "$work/$1" "$2"; then return; fi
	changed=1
	[ ! -f "$2" ] || run cp -p "$2" "$2.old"
	run install -D -m "$3" "$work/$1" "$2.new"
	run mv -f "$2.new" "$2"
}
install_files() {
	changed=0
	place paas-init "$bin/paas-init" 755
	place paas "$bin/paas" 755
	run ln -sfn paas "$bin/paas-oci" # the path for engines that run containers with it: --runtime
	[ -f "$config" ] || write "$config" 644 <<C
# Read by paas serve when it starts; its flags win. install.sh never changes this file.
data = "$data"
http = ":$http_port"${https_port:+$(printf '\nhttps = "%s"' "$(say ":$https_port" | sed s/:off/off/)")}
ssh = ":$ssh_port"
domain = "$domain"
C
	! with_systemd || { sed -i "s|@BIN@|$bin|" "$work/paas.service" && place paas.service "$unit" 644; }
}
put_back() { for f in "$bin/paas" "$bin/paas-init" "$unit"; do [ ! -f "$f.old" ] || mv -f "$f.old" "$f"; done; }
start_service() {
	run systemctl daemon-reload && run systemctl enable -q paas
	if [ $changed = 0 ] && systemctl is-active -q paas; then return; fi
	# A new program takes over from the one that runs, without a request lost; what the unit says holds only for a
	# process that systemd starts. Type=notify: both ways come back when paas listens, or has failed. Apps run on.
	if [ ! -f "$unit.old" ] && systemctl is-active -q paas; then how=reload left="serves on"; else how=restart left="was put back"; fi
	if run systemctl $how paas; then return; fi
	[ -f "$bin/paas.old" ] || die "paas does not start" "see why: journalctl -u paas -n 50"
	put_back
	[ $how = reload ] || { systemctl daemon-reload && systemctl restart paas; } || true
	die "the new paas does not start; the old one $left" "see why: journalctl -u paas -n 50"
}
setup() {
	if [ -f "$data/paas.db" ] && [ ! -s "$work/keys" ] && ! stands_still; then return; fi
	set -- --data "$data" --name "${SUDO_USER:-admin}" --prepare # or go on where an earlier run was cut off
	[ ! -s "$work/keys" ] || set -- "$@" --admin-key "$work/keys"
	run "$bin/paas" setup "$@"
}

install_or_upgrade() {
	old=1 && [ -x "$bin/paas" ] || old=0; new=0 && ! stands_still && [ $old = 1 ] || new=1
	[ "$mode" = install ] || [ $old = 1 ] || die "paas is not installed here" "run this without --upgrade"
	preflight
	admin_keys
	obtain
	install_files
	setup
	if with_systemd && [ $start = 1 ]; then start_service; fi
	run rm -f "$bin/paas.old" "$bin/paas-init.old" "$unit.old"
	[ $bad = 0 ] || die "$bad checks failed: a real run would have stopped there"
	if [ $new = 1 ]; then finish; elif [ $changed = 0 ]; then say "paas is already current."; else say "paas is upgraded."; fi
	if ! with_systemd; then say "systemd is not running here: start paas yourself, $bin/paas serve --config $config"
	elif [ $start = 0 ]; then say "It was not started: systemctl enable --now paas"; fi
}
finish() {
	url=http://myapp.$domain && [ "$http_port" = 80 ] || url=$url:$http_port
	cat <<F

Now, on your own computer, add this to ~/.ssh/config:

    Host paas
        HostName $address
        Port $ssh_port
        User paas
        HostKeyAlias $domain

and then, in a git repository:

    git remote add paas paas:myapp
    git push paas main

The app answers at $url. More: ssh paas help
F
	case $domain in *.sslip.io) say "(sslip.io needs public DNS; with your own domain, point *.DOMAIN here and set it in $config)" ;; esac
}

uninstall() {
	[ $purge = 0 ] || [ "$confirm" = "$(uname -n)" ] ||
		die "--purge deletes every app and its data in $data" "add --confirm $(uname -n)" 2
	[ -x "$bin/paas" ] || { say "paas is not installed in $bin" && return; }
	if with_systemd && [ -f "$unit" ]; then run systemctl disable -q --now paas; fi
	set -- --data "$data"
	[ $purge = 0 ] || set -- "$@" --purge --confirm "$confirm"
	run "$bin/paas" uninstall "$@"
	run rm -f "$bin/paas" "$bin/paas-init" "$bin/paas-oci" "$unit"
	if with_systemd; then run systemctl daemon-reload; fi
	if [ $purge = 1 ]; then run rm -rf /etc/paas; else say "Kept: $data and $config"; fi
}

main() {
	PATH=$PATH:/usr/sbin:/sbin; parse "$@"
	here=$(cd "$(dirname "$0")" && pwd)
	work=$(mktemp -d) && trap 'rm -rf "$work"' EXIT
	defaults
	if [ "$mode" = uninstall ]; then uninstall; else install_or_upgrade; fi
}

main "$@"

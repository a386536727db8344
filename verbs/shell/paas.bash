# paas for bash: eval "$(ssh paas completion bash)"
# PAAS_HOST names the server where no git remote does; PAAS_REMOTE another git remote than "paas".

# _paas_where sets host and app, from the git remote of this directory: paas:blog, paas@host:blog, ssh://paas@host:22/blog
_paas_where() {
	host=${PAAS_HOST:-paas} app=
	local url
	url=$(git config --get "remote.${PAAS_REMOTE:-paas}.url" 2>/dev/null) || return 0
	case $url in
	ssh://*/*) host=ssh://${url#ssh://} host=${host%/*} app=${url##*/} ;;
	*:*) host=${url%%:*} app=${url#*:} ;;
	*) return 0 ;;
	esac
	app=${app#/} app=${app%.git}
}

paas() {
	local host app line= arg tty=-T
	_paas_where
	[ -t 0 ] && [ -t 1 ] && tty=-t
	for arg in "$@"; do line+=" $(printf %q "$arg")"; done
	ssh -q "$tty" "$host" -- ${app:+--remote-app="$app"} "$line"
}

_paas() {
	local host app line=${COMP_LINE:0:COMP_POINT} word words=() asked= found cur
	_paas_where
	read -ra words <<<"$line"
	[[ $line == *[[:space:]] ]] && words+=("")
	cur=${words[${#words[@]} - 1]}
	for word in "${words[@]:1}"; do asked+=" $(printf %q "$word")"; done
	COMPREPLY=()
	while IFS=$'\t' read -r found _; do
		# bash has split the word at its colons: what stands before the last one is there already
		[[ $cur == *:* && $COMP_WORDBREAKS == *:* ]] && found=${found#"${cur%:*}:"}
		[[ -n $found ]] && COMPREPLY+=("$found")
	done < <(ssh -q -T -o BatchMode=yes "$host" -- ${app:+--remote-app="$app"} "__complete --$asked" </dev/null 2>/dev/null)
	[[ ${COMPREPLY[0]-} == *= ]] && compopt -o nospace 2>/dev/null
	return 0
}
complete -F _paas paas

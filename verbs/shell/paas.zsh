# paas for zsh: eval "$(ssh paas completion zsh)"
# PAAS_HOST names the server where no git remote does; PAAS_REMOTE another git remote than "paas".

# _paas_where sets host and app, from the git remote of this directory: paas:blog, paas@host:blog, ssh://paas@host:22/blog
_paas_where() {
	host=${PAAS_HOST:-paas} app=
	local url
	url=$(git config --get "remote.${PAAS_REMOTE:-paas}.url" 2>/dev/null) || return 0
	case $url in
	(ssh://*/*) host=${url%/*} app=${url##*/} ;;
	(*:*) host=${url%%:*} app=${url#*:} ;;
	(*) return 0 ;;
	esac
	app=${app#/} app=${app%.git}
}

paas() {
	local host app tty=-T
	local -a where
	_paas_where
	[[ -t 0 && -t 1 ]] && tty=-t
	[[ -n $app ]] && where=(--remote-app=$app)
	ssh -q $tty $host -- $where "${(j: :)${(@qq)@}}"
}

_paas() {
	local host app line
	local -a where shown found
	_paas_where
	[[ -n $app ]] && where=(--remote-app=$app)
	for line in ${(f)"$(ssh -q -T -o BatchMode=yes $host -- $where "__complete -- ${(j: :)${(@qq)words[2,CURRENT]}}" </dev/null 2>/dev/null)"}; do
		found+=("${line%%$'\t'*}")
		shown+=("${line/$'\t'/  -- }")
	done
	[[ ${found[1]-} == *= ]] && compadd -S '' -d shown -- $found || compadd -d shown -- $found
}
(( $+functions[compdef] )) || { autoload -Uz compinit && compinit -u }
compdef _paas paas

# paas for fish: ssh paas completion fish | source
# PAAS_HOST names the server where no git remote does; PAAS_REMOTE another git remote than "paas".

# __paas_where prints the host and, if there is one, the app of this directory's git remote:
# paas:blog, paas@host:blog, ssh://paas@host:22/blog
function __paas_where
    set -l remote paas
    set -q PAAS_REMOTE; and set remote $PAAS_REMOTE
    set -l url (git config --get remote.$remote.url 2>/dev/null)
    set -l part (string match -r '^(ssh://[^/]+)/(.+?)(?:\.git)?$' -- $url)
    or set part (string match -r '^([^:/]+):/?(.+?)(?:\.git)?$' -- $url)
    if test (count $part) -eq 3
        printf '%s\n' $part[2] --remote-app=$part[3]
    else if set -q PAAS_HOST
        printf '%s\n' $PAAS_HOST
    else
        echo paas
    end
end

function __paas_quote
    for word in $argv
        printf "'%s' " (string replace -a "'" "'\\''" -- $word | string collect)
    end
end

function paas
    set -l where (__paas_where)
    set -l tty -T
    isatty stdin; and isatty stdout; and set tty -t
    ssh -q $tty $where[1] -- $where[2..] (__paas_quote $argv | string collect)
end

function __paas_complete
    set -l where (__paas_where)
    set -l words (commandline -opc) (commandline -ct)
    ssh -q -T -o BatchMode=yes $where[1] -- $where[2..] "__complete -- "(__paas_quote $words[2..] | string collect) </dev/null 2>/dev/null
end
complete -c paas -f -a '(__paas_complete)'

package verbs

import (
	"slices"
	"strings"
)

// foreign is a word or flag that a verb of the same name has elsewhere and not here, and what to type instead.
type foreign struct{ verb, word, here string }

// tooMuch stands for any word beyond those that the verb takes.
const tooMuch = "*"

// foreignWords are those of Dokku 0.38 and of docker run.
func foreignWords() []foreign {
	const (
		noMail    = "no mail is sent from here: how jobs end is in ssh paas cron:history APP, and ssh paas logs:drain:add APP URL sends on what they print"
		together  = "instances are replaced together, after the new ones are healthy: leave it out"
		commitVar = "an image has no .git; its commit is in the variable GIT_REV"
		noProxy   = "the router is part of paas, there is no other to choose: ssh paas router:report APP"
		terminal  = "ssh -t gives it a terminal: ssh -t paas run APP sh"
		ownUser   = "leave it out; a process that may not write there: ssh paas help storage"
		command   = "write it into the Procfile, as web: COMMAND, and push"
		noLimit   = "this cannot be limited here; what can: ssh paas help resource:limit"
		listed    = "choose from what ssh paas builds:list APP --json prints"
		hsts      = "ssh paas certs:set APP hsts=365d, or hsts=off"
	)
	return []foreign{
		{"cron:set", "mailto", noMail}, {"cron:set", "mailfrom", noMail},
		{"cron:set", "maintenance", "hold jobs back: ssh paas cron:suspend APP"},
		{"cron:set", "--global", "it is set for each app: ssh paas cron:set APP timezone Europe/Berlin"},
		{"ps:scale", "--skip-deploy", "a new scale takes effect at once, of a stopped app when it starts: ssh paas ps:stop APP"},
		{"ps:restart", "--parallel", together}, {"ps:rebuild", "--parallel", together},
		{"ps:set", "stop-timeout-seconds", "a process has 30 seconds to end after SIGTERM; how long its requests may go on before: ssh paas checks:set APP wait-to-retire 60"},
		{"ps:set", "start-cmd", command}, {"ps:set", "dockerfile-start-cmd", command},
		{"ps:set", "restore", "what ran before a reboot runs again; what shall not: ssh paas ps:stop APP"},
		{"ps:set", "skip-deploy", "let nothing be deployed for a while: ssh paas apps:lock APP"},
		{"run", "--rm", "what a one-off leaves is removed by itself: leave it out"}, {"run", "-it", terminal}, {"run", "-i", terminal}, {"run", "-t", terminal},
		{"exec", "--container-id", "name the process: ssh paas enter APP web.1"},
		{"git:set", "keep-git-dir", commitVar}, {"git:set", "rev-env-var", commitVar}, {"git:set", "source-image", "ssh paas git:from-image APP IMAGE"},
		{"storage:create", "--chown", ownUser}, {"storage:create", "--mode", ownUser},
		{"storage:destroy", "--destroy-host-dir", "its data goes to the trash with it: leave it out"},
		{"builds:list", "--status", listed}, {"builds:list", "--kind", listed},
		{"builds:set", "retention", "as many builds are kept as releases: ssh paas help releases:set"},
		{"router:set", "type", noProxy}, {"router:set", "proxy-port", "ssh paas ports:add APP http:8080:web"},
		{"router:set", "hsts", hsts}, {"router:set", "hsts-include-subdomains", hsts}, {"router:set", "hsts-max-age", hsts}, {"router:set", "hsts-preload", hsts},
		{"certs:set", "graceperiod", "certificates are renewed in time by themselves: ssh paas certs:report APP"},
		{"certs:set", "email", "it is the server's, for all apps: ssh paas certs:set --global email=you@example.com"},
		{"certs:set", "server", "it is the server's, for all apps: ssh paas certs:set --global server=letsencrypt-staging"},
		{"certs:add", tooMuch, "the files come on standard input: cat crt.pem key.pem | ssh paas certs:add APP, or as a tar archive"},
		{"registry:login", tooMuch, "the password comes on standard input: ssh paas registry:login HOST USER < password"},
		{"registry:login", "--global", "a login is for the whole server: ssh paas registry:login HOST USER < password"},
		{"config:get", "--quoted", "ssh paas config:export APP quotes for shells"},
		{"resource:limit", "--memory-swap", noLimit}, {"resource:limit", "--network", noLimit}, {"resource:limit", "--network-ingress", noLimit},
		{"resource:limit", "--network-egress", noLimit}, {"resource:limit", "--nvidia-gpu", noLimit},
	}
}

// foreignTo finds what to type instead of a word that v does not take, behind whose name words stand. why is what was
// wrong with them.
func foreignTo(v Verb, words []string, why string) string {
	if end := slices.Index(words, "--"); end >= 0 {
		words = words[:end]
	}
	for _, f := range foreignWords() {
		if f.verb != v.Name {
			continue
		}
		said := slices.ContainsFunc(words, func(w string) bool { return w == f.word || strings.HasPrefix(w, f.word+"=") })
		if said || f.word == tooMuch && strings.HasSuffix(why, " is too much") {
			return f.here
		}
	}
	if strings.HasSuffix(v.Name, ":report") && strings.HasPrefix(why, "Unknown flag") && !strings.Contains(why, "Did you mean") {
		return "one value of it, for programs: ssh paas " + v.Name + " APP --json"
	}
	return ""
}

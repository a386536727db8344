package verbs

// habit is what to type here instead of a command of Dokku or Heroku that is called, or works, otherwise.
func habit(word string) (string, bool) {
	for _, list := range [][]habitOf{dokkuHabits(), herokuHabits(), localWords()} {
		for _, h := range list {
			if h.word == word {
				return h.here, true
			}
		}
	}
	return "", false
}

// habitOf is one command, and the sentence that names what to type here.
type habitOf struct{ word, here string }

// dokkuHabits are commands of Dokku 0.38 and its service plugins that are no verbs here.
func dokkuHabits() []habitOf {
	const (
		plugins   = "everything is part of paas: there are no plugins to install"
		noNginx   = "the router needs no configuration file; settings: ssh paas router:report APP"
		noDocker  = "containers get no docker options; see ssh paas help resource, storage, security and ports"
		databases = "paas runs no databases for you yet; run one as an app of its own: ssh paas git:from-image db docker.io/library/IMAGE, then ssh paas links:add APP db"
		noNetwork = "there are no networks to make or attach, every app has its own, closed to the others; open a way from one to another: ssh paas links:add shop payments"
		itself    = "certificates are got and renewed by themselves: ssh paas certs:report APP"
	)
	list := []habitOf{
		{"tags", "releases are numbered: ssh paas releases APP"}, {"tags:create", "releases are numbered: ssh paas releases APP"},
		{"tags:deploy", "ssh paas git:from-image APP IMAGE"}, {"tar:in", "ssh paas git:from-archive APP - < source.tar"}, {"tar:from", "ssh paas git:from-archive APP URL"},
		{"cleanup", "what nothing needs goes by itself; at once: ssh paas builds:prune"},
		{"shell", "type one command at a time: ssh paas help"},
		{"deploy", "push it: git push paas main; or once more: ssh paas ps:rebuild APP"},

		{"letsencrypt:enable", itself}, {"letsencrypt:auto-renew", itself}, {"letsencrypt:cron-job", itself},
		{"letsencrypt:disable", "ssh paas help certs:set"},

		{"letsencrypt:cleanup", itself},
		{"nginx:show-config", noNginx}, {"nginx:show-conf", noNginx}, {"nginx:build-config", noNginx}, {"nginx:validate-config", noNginx},
		{"proxy:build-config", noNginx}, {"proxy:clear-config", noNginx}, {"nginx:reload", noNginx}, {"nginx:start", noNginx}, {"nginx:stop", noNginx},
		{"nginx:access-logs", "ssh paas logs APP --source router"}, {"nginx:error-logs", "ssh paas logs APP --source router --level error"},
		{"proxy:enable", "an app with a web process has an address; its domains: ssh paas domains:report APP"},
		{"proxy:disable", "without a web process nothing is routed: ssh paas ps:scale APP web=0; or ssh paas maintenance:on APP"},
		{"http-auth:enable", "ssh paas auth:add APP USER < password"},
		{"http-auth:add-allowed-ip", "ssh paas router:set APP allow ADDRESS; see ssh paas help router:set"},
		{"docker-options:add", noDocker}, {"docker-options:remove", noDocker}, {"docker-options:clear", noDocker},
		{"docker-options:list", noDocker}, {"docker-options:report", noDocker},
		{"registry:set", "ssh paas images:push APP registry.example.org/you/APP:tag"},
		{"repo:purge-cache", "ssh paas builds:prune APP --all"}, {"repo:gc", "repositories are packed by themselves; space: ssh paas disk"},
		{"plugin:install", plugins}, {"plugin:list", plugins}, {"plugin:update", plugins}, {"plugin:uninstall", plugins},
		{"plugin:enable", plugins}, {"plugin:disable", plugins}, {"plugin:installed", plugins},
		{"scheduler:set", "there is one scheduler, this host's; ssh paas ps:report APP"},
		{"git:unlock", "ssh paas builds:cancel APP, if a deploy hangs"}, {"git:initialize", "ssh paas apps:create APP makes the repository"},
		{"ps:restore", "what ran before a reboot runs again by itself: ssh paas ps APP"},
		{"ps:retire", "old instances end by themselves: ssh paas ps APP"},
		{"events:on", "events are always kept: ssh paas events"}, {"events:off", "events are always kept: ssh paas events"},
		{"trace:on", "the server's log tells: journalctl -u paas"}, {"trace:off", "the server's log tells: journalctl -u paas"},
		{"logs:vector-start", "logs need no other program: ssh paas logs APP"}, {"logs:vector-stop", "logs need no other program: ssh paas logs APP"},
		{"logs:vector-logs", "logs need no other program: ssh paas logs APP"},
		{"domains:enable", "ssh paas domains:add APP DOMAIN"},
		{"buildpacks:set-property", "ssh paas stacks:use APP STACK"},
		{"network:create", noNetwork}, {"network:set", noNetwork}, {"network:destroy", noNetwork}, {"network:exists", noNetwork},
		{"network:info", "ssh paas network:report APP"}, {"network:rebuild", "networks mend themselves: ssh paas doctor"},
		{"network:rebuildall", "networks mend themselves: ssh paas doctor"}, {"builds:prune-records", "ssh paas builds:prune"},
	}
	for _, service := range []string{"postgres", "mysql", "mariadb", "mongo", "redis", "rabbitmq", "memcached", "elasticsearch", "clickhouse",
		"couchdb", "nats", "meilisearch", "typesense", "solr", "rethinkdb", "graphite", "pushpin"} {
		for _, verb := range []string{"create", "destroy", "list", "info", "link", "unlink", "promote", "connect", "export", "import", "expose", "logs", "backup"} {
			list = append(list, habitOf{service + ":" + verb, databases})
		}
	}
	return list
}

// herokuHabits are commands of Heroku's CLI that are no verbs here.
func herokuHabits() []habitOf {
	return []habitOf{

		{"apps:rename-app", "ssh paas apps:rename OLD NEW"},

		{"dyno:resize", "ssh paas resource:limit APP memory=512m"}, {"ps:resize", "ssh paas resource:limit APP memory=512m"},
		{"ps:copy", "ssh paas ps:cp-out APP PROCESS PATH > files.tar"}, {"ps:wait", "commands wait by themselves, unless told --no-wait"},
		{"ps:kill", "ssh paas ps:restart APP"}, {"config:edit", "ssh paas config:export APP --format dotenv > .env, edit it, ssh paas config:import APP --replace < .env"},

		{"builds:create", "push it: git push paas main"}, {"git:remote", "git remote add paas paas:APP"}, {"git:clone", "git clone paas:APP"},
		{"login", "your SSH key is your login: ssh paas help"}, {"logout", "your SSH key is your login"}, {"auth:login", "your SSH key is your login"},
		{"auth:token", "ssh paas tokens:create NAME"},
		{"addons", "ssh paas links:list APP"}, {"addons:create", "run what you need as an app, and link it: ssh paas links:add APP OTHER"},
		{"certs:auto:enable", "certificates are got by themselves: ssh paas certs:report APP"},
		{"features", "there is nothing to switch on"}, {"labs", "there is nothing to switch on"}, {"buildpacks:versions", "ssh paas buildpacks:list APP"},
		{"pg", "paas runs no databases for you yet; run one as an app: ssh paas git:from-image db docker.io/library/postgres:17"},
		{"pg:psql", "ssh -t paas exec DB -- psql"}, {"redis:cli", "ssh -t paas exec REDIS -- redis-cli"}, {"update", "on the server: paas handover, after installing the new version"},

		{"pipelines:promote", "ssh paas images:deploy PRODUCTION STAGING@v12"},
		{"local", "run it on the server: ssh paas run APP COMMAND"}, {"container:push", "docker push to the registry, or: git push paas main"},
		{"container:release", "ssh paas images:deploy APP IMAGE"},
		{"domains:wait", "ssh paas certs:report APP"}, {"domains:update", "ssh paas certs:add APP < pem"}, {"autocomplete", `eval "$(ssh paas completion bash)"`},
		{"status", "ssh paas doctor"}, {"dashboard", "ssh -t paas"}, {"regions", "there is one place: this server"}, {"spaces", "there is one place: this server"},
		{"telemetry", "nothing is reported to anybody"}, {"webhooks", "ssh paas events --follow --json"},
	}
}

// localWords are commands that work only on the server.
func localWords() []habitOf {
	return []habitOf{
		{"serve", "it works on the server only: paas serve"}, {"setup", "it works on the server only: paas setup"},
		{"upgrade", "it works on the server only: install the new version, then paas handover"},
		{"uninstall", "it works on the server only: paas uninstall"}, {"handover", "it works on the server only: paas handover"},
		{"build:plan", "it works on the server only: paas build:plan DIR"},
	}
}

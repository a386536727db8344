package verbs

import (
	"flag"
	"fmt"
	"os"
	"slices"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write docs/habits.md anew")

// starred are the commands that Dokku's users type most, of 0.38 and its usual plugins.
const starred = `help version logs run enter report url urls
apps:create apps:destroy apps:list apps:exists apps:rename apps:clone apps:lock apps:unlock apps:report
git:set git:sync git:from-image git:from-archive git:load-image git:auth builds:list builds:output builds:cancel
builder:set builder-dockerfile:set buildpacks:add buildpacks:set buildpacks:remove buildpacks:clear buildpacks:list
ps:scale ps:restart ps:rebuild ps:start ps:stop ps:set ps:report
config:show config:set config:unset config:get config:export config:keys config:bundle config:import config:clear
domains:add domains:remove domains:set domains:clear domains:report domains:add-global domains:set-global
certs:add certs:remove certs:report letsencrypt:set letsencrypt:enable letsencrypt:list letsencrypt:auto-renew letsencrypt:cron-job
ports:list ports:add ports:set ports:remove proxy:build-config proxy:disable proxy:set
nginx:show-config nginx:access-logs nginx:error-logs nginx:set checks:disable checks:skip checks:run checks:set
resource:limit resource:reserve resource:report storage:create storage:ensure-directory storage:mount storage:unmount storage:list
network:create network:list network:set cron:list cron:run run:detached run:list run:stop logs:failed logs:set
docker-options:add docker-options:remove docker-options:report registry:login repo:purge-cache
ssh-keys:add ssh-keys:list ssh-keys:remove plugin:install plugin:list plugin:update
maintenance:enable maintenance:disable maintenance:custom-page http-auth:enable http-auth:disable redirect:set redirect:unset
postgres:create postgres:destroy postgres:list postgres:info postgres:link postgres:unlink postgres:promote postgres:connect
postgres:export postgres:import postgres:expose postgres:logs postgres:backup mysql:create redis:create mongo:link`

// heroku are commands of Heroku's CLI.
const heroku = `apps apps:create apps:destroy apps:info apps:open apps:rename create destroy info open ps ps:scale ps:restart ps:stop
ps:exec ps:type ps:resize scale restart config config:get config:set config:unset config:edit releases releases:rollback rollback
logs run run:detached domains domains:add domains:remove certs certs:auto builds builds:output buildpacks buildpacks:add buildpacks:set
buildpacks:remove buildpacks:clear maintenance:on maintenance:off drains:add drains:remove keys keys:add keys:remove git:remote git:clone
login auth:token auth:whoami addons addons:create pg pg:psql stack stack:set access autocomplete update version help`

// Whoever comes from Dokku or Heroku is never left alone: each command works, or its answer names what to type.
func TestHabitsAreMet(t *testing.T) {
	tab := table(t)
	for _, word := range strings.Fields(starred + " " + heroku) {
		_, works := tab.find(word)
		here, told := habit(word)
		if !works && (!told || !strings.Contains(here, " ")) {
			t.Errorf("%s neither works nor is anybody told what to type", word)
		}
	}
	for _, h := range slices.Concat(dokkuHabits(), herokuHabits(), localWords()) {
		if v, works := tab.find(h.word); works {
			t.Errorf("%s is a verb (%s): it needs no habit", h.word, v.Name)
		}
		if r := run(tab, true, h.word); r.code != 127 && !tab.isTopic(h.word) || len(h.here) > 180 {
			t.Errorf("%s: status %d, %s", h.word, r.code, r.err)
		}
		for _, named := range namedCommands(h.here) {
			if _, ok := tab.find(named); !ok && !tab.isTopic(named) {
				t.Errorf("%s says to type %q, which is no command", h.word, named)
			}
		}
	}
}

// namedCommands are the words behind "ssh paas" in a sentence.
func namedCommands(text string) (list []string) {
	words := strings.Fields(strings.NewReplacer(",", " ", ";", " ", ".", " ", ")", " ").Replace(text))
	for i, w := range words {
		if w == "paas" && i > 0 && (words[i-1] == "ssh" || words[i-1] == "-t") && i+1 < len(words) {
			name := words[i+1]
			if name == "help" && i+2 < len(words) {
				name = words[i+2]
			}
			list = append(list, name)
		}
	}
	return list
}

// docs/habits.md is made from the table: go test ./verbs -run TestHabitsPage -update
func TestHabitsPage(t *testing.T) {
	tab := table(t)
	var b strings.Builder
	b.WriteString("# Habits\n\nWhat people type who come from Dokku or Heroku, and what it is here. Commands that are not in the lists\n" +
		"are called as they were. Made from the table of verbs by `go test ./verbs -run TestHabitsPage -update`.\n")
	habitTable(&b, tab, "From Dokku", starred, dokkuHabits())
	habitTable(&b, tab, "From Heroku", heroku, herokuHabits())
	const page = "../docs/habits.md"
	if *update {
		if err := os.WriteFile(page, []byte(b.String()), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	have, err := os.ReadFile(page)
	if err != nil || string(have) != b.String() {
		t.Errorf("docs/habits.md is out of date (%v): go test ./verbs -run TestHabitsPage -update", err)
	}
}

func habitTable(b *strings.Builder, tab *Table, title, words string, list []habitOf) {
	fmt.Fprintf(b, "\n## %s\n\nThe same here: ", title)
	var same []string
	rows := map[string]string{}
	var order []string
	add := func(word, here string) {
		if _, twice := rows[word]; !twice {
			order = append(order, word)
		}
		rows[word] = here
	}
	for _, word := range strings.Fields(words) {
		if v, ok := tab.find(word); ok && (v.Name == word || v.Name == word+":list" || v.Name == word+":report") {
			same = append(same, "`"+word+"`")
		} else if ok {
			add(word, "works; here it is called `"+v.Name+"`")
		}
	}
	for _, h := range list {
		topic, verb, _ := strings.Cut(h.word, ":")
		if slices.Contains([]string{"postgres", "mysql", "mariadb", "mongo", "redis", "rabbitmq", "memcached", "elasticsearch", "clickhouse",
			"couchdb", "nats", "meilisearch", "typesense", "solr", "rethinkdb", "graphite", "pushpin"}, topic) && verb != "cli" {
			h.word = "postgres:…, mysql:…, redis:… and the like"
		}
		add(h.word, strings.ReplaceAll(h.here, "|", `\|`))
	}
	fmt.Fprintf(b, "%s\n\n| you typed | here |\n|---|---|\n", wrap(strings.Join(same, " "), 110, ""))
	for _, word := range order {
		fmt.Fprintf(b, "| `%s` | %s |\n", word, rows[word])
	}
}

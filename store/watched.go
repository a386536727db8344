package store

import (
	"context"
	"database/sql/driver"
	"fmt"
	"strings"

	"github.com/mattn/go-sqlite3"

	"paas/platform"
)

// What commands change is seen where it is written: triggers of the writing connection's own (TEMP: they are in no
// file, and follow this table) tell what becomes of the rows of these tables, in a table that is only in memory.
// Releases are documents: see noteRelease.

// watched is a property of a row as the audit shows it. In its SQL expressions @ is the row.
type watched struct {
	table  string
	app    string // the app that it is about; "" is the one of app_id
	what   string
	value  string // '' is as good as no row
	hidden string // true if the value is a secret; "" never is
}

const noOnes = "''" // app of what is about none

// ownerOf is whose a row is; who has no row in users is root. roleName is platform.Role's String.
const (
	ownerOf  = "coalesce((SELECT name FROM users WHERE id = @.user_id), '" + platform.Root + "')"
	roleName = "CASE @.role WHEN 1 THEN 'view' WHEN 2 THEN 'deploy' WHEN 3 THEN 'operate' WHEN 4 THEN 'manage' ELSE 'owner' END"
)

// watchedRows is all that people set, and people themselves.
func watchedRows() []watched {
	return []watched{
		{table: "apps", app: "@.name", what: "'app'", value: "iif(@.trashed_at > 0, 'in the trash', @.name)"},
		{table: "apps", app: "@.name", what: "'deploy branch'", value: "@.deploy_branch"},
		{table: "apps", app: "@.name", what: "'stopped'", value: "iif(@.stopped, 'yes', '')"},
		{table: "apps", app: "@.name", what: "'restarts'", value: "iif(@.epoch, CAST(@.epoch AS TEXT), '')"},
		{table: "apps", app: "@.name", what: "'restarts of types'", value: "iif(@.type_epochs = '{}', '', @.type_epochs)"},
		{table: "apps", app: "@.name", what: "'release'", value: "iif(@.release, 'v' || @.release, '')"},
		{table: "config", what: "'config ' || @.key", value: "'=' || @.value", hidden: "1"},
		{table: "global_config", app: noOnes, what: "'config ' || @.key", value: "'=' || @.value", hidden: "1"},
		{table: "formation", what: "'scale ' || @.type", value: "CAST(@.quantity AS TEXT)"},
		{table: "settings", what: "replace(@.topic || ' ' || @.process_type || ' ' || @.key, '  ', ' ')", value: "@.value"},
		{table: "global_settings", app: noOnes, what: "@.topic || ' ' || @.key", value: "@.value"},
		{table: "restart_policies", what: "'restart policy'", value: "@.policy"},
		{table: "egress_lists", what: "'egress'", value: "@.destinations"},
		{table: "domains", what: "'domain ' || @.host", value: "(SELECT name FROM apps WHERE id = @.app_id)"},
		{table: "global_domains", app: noOnes, what: "'global domain ' || @.host", value: "'set'"},
		{table: "port_mappings", what: "'port ' || @.transport || ' ' || @.host_port", value: "trim(@.scheme || ' ' || @.type || ':' || @.port || ' ' || @.proxy) || iif(@.connections, ', at most ' || @.connections, '')"},
		{table: "edge_rules", what: "@.kind || ' ' || @.key", value: "@.value", hidden: "@.kind = 'user'"},
		{table: "canaries", what: "'canary'", value: "'v' || @.release || ', ' || @.percent || ' %'"},
		{table: "certificates", what: "'certificate'", value: "@.fingerprint"},
		{table: "log_drains", what: "'log drain ' || @.id", value: "@.url"},
		{table: "one_offs", what: "@.kind || '.' || @.id", value: "@.command"},
		{table: "app_locks", what: "'lock'", value: "coalesce(nullif(@.message, ''), 'locked')"},
		{table: "volumes", app: noOnes, what: "'volume ' || @.name", value: "iif(@.trashed_at > 0, 'in the trash', iif(@.size, @.size || ' bytes', 'there'))"},
		{table: "volume_apps", what: "'volume of ' || (SELECT name FROM apps WHERE id = @.app_id)", value: "(SELECT name FROM volumes WHERE id = @.volume_id)"},
		{table: "trash", app: noOnes, what: "'trash ' || @.id", value: "@.kind || ' ' || @.name"},
		{table: "git_hosts", app: noOnes, what: "'git host ' || @.host", value: "@.user || ' ' || @.keys || @.password", hidden: "1"},
		{table: "logins", app: noOnes, what: "'login ' || @.host", value: "@.user || ' ' || @.secret", hidden: "1"},
		{table: "pulled", app: noOnes, what: "'image ' || @.reference", value: "@.digest"},
		{table: "stacks", app: noOnes, what: "'stack ' || @.name", value: "'v' || @.number"},
		{table: "users", app: noOnes, what: "'user ' || @.name", value: "iif(@.admin, 'admin', iif(@.creates, 'creates apps', 'member'))"},
		{table: "keys", app: noOnes, what: "'key ' || @.name || ' of ' || " + ownerOf, value: "@.fingerprint"},
		{table: "roles", what: ownerOf + " || ' on ' || (SELECT name FROM apps WHERE id = @.app_id)", value: roleName},
		{table: "tokens", app: noOnes, what: "'token ' || @.name || ' of ' || " + ownerOf, value: "@.scopes"},
	}
}

// unwatched are the tables in which nobody sets anything; the apps of a token never change.
func unwatched() []string {
	return []string{
		"token_apps", "releases", "release_links", "links", "images", "builds", "build_inputs", "cron_marks", "events", "commands",
		"setting_changes", "oom_kills", "sleeps", "former_names", "spreads", "errands", "troubles", "vault", "vault_locks",
	}
}

const (
	seenTable = `CREATE TEMP TABLE seen (app TEXT NOT NULL, what TEXT NOT NULL, old TEXT NOT NULL, new TEXT NOT NULL, hidden INTEGER NOT NULL)`
	seenEntry = ` BEGIN INSERT INTO seen SELECT app, %s, coalesce(%s, ''), coalesce(%s, ''), %s FROM (SELECT %s app) WHERE app IS NOT NULL; END`
)

// triggers are those of the n-th property, for rows that come, change and go. A row whose app is gone goes with it.
func (w watched) triggers(n int) (list []string) {
	app, hidden := w.app, w.hidden
	if app == "" {
		app = "(SELECT name FROM apps WHERE id = @.app_id)"
	}
	if hidden == "" {
		hidden = "0"
	}
	of := func(expression, row string) string { return strings.ReplaceAll(expression, "@", row) }
	for _, t := range []struct{ does, row, old, new string }{
		{"INSERT", "NEW", "''", of(w.value, "NEW")},
		{"UPDATE", "NEW", of(w.value, "OLD"), of(w.value, "NEW")},
		{"DELETE", "OLD", of(w.value, "OLD"), "''"},
	} {
		list = append(list, fmt.Sprintf("CREATE TEMP TRIGGER seen_%d_%s AFTER %s ON main.%s WHEN %s IS NOT %s", n, t.does, t.does, w.table, t.old, t.new)+
			fmt.Sprintf(seenEntry, of(w.what, t.row), t.old, t.new, of(hidden, t.row), of(app, t.row)))
	}
	return list
}

// watch prepares a connection. Its temporary tables are in memory alone, since they hold secrets until the end of a
// transaction. Recursive triggers tell of rows that INSERT OR REPLACE removes (sqlite.org/lang_conflict.html).
func watch(c *sqlite3.SQLiteConn) error {
	script := []string{"PRAGMA temp_store = MEMORY", "PRAGMA recursive_triggers = ON", seenTable}
	for n, w := range watchedRows() {
		script = append(script, w.triggers(n)...)
	}
	for _, line := range script {
		if _, err := c.Exec(line, nil); err != nil {
			return fmt.Errorf("watch the tables: %s: %w", line, err)
		}
	}
	return nil
}

// watcher opens connections that watch.
type watcher struct{ address string }

// Connect implements driver.Connector.
func (w watcher) Connect(context.Context) (driver.Conn, error) { return w.Driver().Open(w.address) }

// Driver implements driver.Connector.
func (watcher) Driver() driver.Driver { return &sqlite3.SQLiteDriver{ConnectHook: watch} }

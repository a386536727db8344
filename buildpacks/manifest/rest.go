package manifest

import (
	"fmt"
	"slices"
	"strings"

	"paas/platform"
)

// note tells something about the file that is nothing to mend. A file full of it is told of only so often.
func (a *App) note(format string, args ...any) {
	if len(a.Notes) < maxNotes {
		a.Notes = append(a.Notes, fmt.Sprintf(format, args...)+".")
	}
}

// noteUnknown names keys that mean nothing to us, and what was probably meant.
func (a *App) noteUnknown(o object, known ...string) {
	for _, name := range o.names() {
		if slices.Contains(known, name) {
			continue
		}
		name = short([]byte(name))
		text := ""
		for _, k := range known {
			if platform.Near(name, k) {
				text = " (did you mean " + k + "?)"
				break
			}
		}
		a.note("app.json %s is not known, and has no effect%s", o.at(name), text)
	}
}

// readRest is about the keys that no other part reads. Those that describe an app to a shop of apps (Heroku's app.json
// schema) are no news to anybody.
func (a *App) readRest(root object) {
	a.noteUnknown(root,
		"healthchecks", "formation", "env", "buildpacks", "cron", "scripts",
		"name", "description", "keywords", "website", "repository", "logo", "success_url", "stack", "image", "$schema",
		"addons", "environments", "features")
	if root.has("addons") && !emptyJSON(root.keys["addons"]) {
		a.Warnings = append(a.Warnings, "app.json addons are not made by a push: create them, and link them to the app.")
	}
	for _, key := range []string{"environments", "features", "image"} {
		if root.has(key) && !emptyJSON(root.keys[key]) {
			a.note("app.json %s has no effect", key)
		}
	}
}

func emptyJSON(raw []byte) bool {
	text := strings.Join(strings.Fields(string(raw)), "")
	return text == "[]" || text == "{}" || text == `""`
}

// Package manifest reads what an app declares about itself beside its Procfile: app.json in Heroku's schema
// with the healthchecks that Dokku added to it, and Dokku's older CHECKS file.
package manifest

import (
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"

	"paas/buildpacks/procfile"
	"paas/buildpacks/source"
	"paas/platform"
)

// Name is the file's name at the root of a source tree.
const Name = "app.json"

// MaxSize is how many bytes an app.json or a CHECKS may have.
const MaxSize = 1 << 20

const (
	maxName    = 200      // bytes of a name
	maxCommand = 64 << 10 // bytes of a command line, half of what Linux takes for one argument (execve(2))
	maxNotes   = 20
)

// App is what an app.json says, as far as it is acted upon.
type App struct {
	Checks    map[platform.ProcessType][]platform.Check
	Formation map[platform.ProcessType]int
	Parallel  map[platform.ProcessType]int
	Env       map[string]platform.EnvVar
	Cron      []platform.CronJob
	Scripts   platform.Scripts
	Warnings  []string // what the file asks for and does not get
	Notes     []string // what in it means nothing here

	Buildpacks []string // names or URLs, in their order
}

// object is one JSON object with the way to it: "healthchecks.web[0]".
type object struct {
	path string
	keys map[string]json.RawMessage
}

// Parse reads an app.json. What it does not know it names in Notes. Every error is a *platform.Error that names the
// line of bad JSON, or the key.
func Parse(text []byte) (App, error) {
	root, err := parseRoot(text)
	if err != nil {
		return App{}, err
	}
	var app App
	for _, part := range []func(object) error{
		app.readChecks, app.readFormation, app.readEnv, app.readBuildpacks, app.readCron, app.readScripts,
	} {
		if err := part(root); err != nil {
			return App{}, err
		}
	}
	app.readRest(root)
	return app, nil
}

func parseRoot(text []byte) (object, error) {
	root := object{}
	if err := source.Decode(Name, text, &root.keys); err != nil {
		return object{}, err
	}
	if root.keys == nil {
		return object{}, platform.Errorf(platform.Failed, "app.json holds null").WithHint("write {} or remove the file")
	}
	return root, nil
}

func processType(o object, name string) (platform.ProcessType, error) {
	if !procfile.Valid(name) {
		return "", bad(o.path, "%q is not a process type name", name).
			WithHint("use a name of the Procfile: up to 63 lower-case letters, digits and inner dashes")
	}
	return platform.ProcessType(name), nil
}

// object reads the key as an object; a missing or null key is an empty one.
func (o object) object(key string) (object, error) {
	child := object{path: o.at(key)}
	if err := o.into(key, &child.keys, "an object: { … }"); err != nil {
		return object{}, err
	}
	return child, nil
}

// list reads the key as a list of objects; a missing or null key is an empty one.
func (o object) list(key string) ([]object, error) {
	var items []map[string]json.RawMessage
	if err := o.into(key, &items, "a list of objects: [ { … } ]"); err != nil {
		return nil, err
	}
	objects := make([]object, len(items))
	for i, keys := range items {
		objects[i] = object{path: o.at(key) + "[" + strconv.Itoa(i) + "]", keys: keys}
	}
	return objects, nil
}

func (o object) into(key string, value any, kind string) error {
	raw, ok := o.keys[key]
	if !ok {
		return nil
	}
	if err := json.Unmarshal(raw, value); err != nil {
		return bad(o.at(key), "it must be %s", kind).WithHint("it is %s", short(raw))
	}
	return nil
}

// whole reads the key as a whole number between low and high; fallback is for a missing one.
func (o object) whole(key string, fallback, low, high int) (int, error) {
	number := float64(fallback)
	if err := o.into(key, &number, "a number"); err != nil {
		return 0, err
	}
	if number != float64(int(number)) || int(number) < low || int(number) > high {
		return 0, bad(o.at(key), "it must be a whole number from %d to %d", low, high).WithHint("it is %s", short(o.keys[key]))
	}
	return int(number), nil
}

func (o object) text(key string) (string, error) {
	var s string
	err := o.into(key, &s, `text in quotes: "…"`)
	return s, err
}

// word is text that has an end.
func (o object) word(key string, most int) (string, error) {
	s, err := o.text(key)
	if err == nil && (len(s) > most || strings.ContainsRune(s, 0)) {
		return "", bad(o.at(key), "it has a NUL byte or more than %d bytes", most).WithHint("make it shorter")
	}
	return s, err
}

func (o object) flag(key string, fallback bool) (bool, error) {
	b := fallback
	err := o.into(key, &b, "true or false")
	return b, err
}

func (o object) has(key string) bool {
	raw, ok := o.keys[key]
	return ok && string(raw) != "null"
}

func (o object) names() []string { return slices.Sorted(maps.Keys(o.keys)) }

func (o object) at(key string) string {
	if o.path == "" {
		return key
	}
	return o.path + "." + key
}

func bad(path, format string, args ...any) *platform.Error {
	e := platform.Errorf(platform.Failed, format, args...)
	e.Message = "app.json " + path + ": " + e.Message
	return e
}

func short(raw []byte) string {
	text := strings.ToValidUTF8(strings.Join(strings.Fields(string(raw)), " "), "�")
	if len(text) <= 60 {
		return text
	}
	return strings.ToValidUTF8(text[:60], "") + "…"
}

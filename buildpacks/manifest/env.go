package manifest

import (
	"encoding/json"
	"regexp"
	"strings"

	"paas/platform"
)

const (
	maxVars        = 500
	maxDescription = 2000     // bytes
	maxValue       = 64 << 10 // bytes, as of every config var
)

var envName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)

func (a *App) readEnv(root object) error {
	vars, err := root.object("env")
	if err != nil {
		return err
	}
	if len(vars.keys) > maxVars {
		return bad(vars.path, "%d variables are more than %d", len(vars.keys), maxVars).WithHint("leave out those that nothing reads")
	}
	a.Env = map[string]platform.EnvVar{}
	for _, name := range vars.names() {
		if !envName.MatchString(name) {
			return bad(vars.path, "%q is not the name of a variable", name).WithHint("use letters, digits and _, not starting with a digit")
		}
		if a.Env[name], err = a.readVar(vars, name); err != nil {
			return err
		}
	}
	return nil
}

// readVar reads a variable in its short form, a string, or in its long one, an object.
func (a *App) readVar(vars object, name string) (platform.EnvVar, error) {
	v := platform.EnvVar{Required: true}
	if json.Unmarshal(vars.keys[name], &v.Value) == nil {
		return v, envValue(vars.at(name), v.Value)
	}
	v.Value = ""
	long := object{path: vars.at(name)}
	if err := vars.into(name, &long.keys, `text in quotes, or an object such as {"value": "…"}`); err != nil {
		return v, err
	}
	a.noteUnknown(long, "value", "description", "required", "generator")
	var err error
	if v.Description, err = long.word("description", maxDescription); err != nil {
		return v, err
	}
	if v.Value, err = long.text("value"); err != nil {
		return v, err
	}
	if v.Required, err = long.flag("required", true); err != nil {
		return v, err
	}
	if v.Generator, err = readGenerator(long); err != nil {
		return v, err
	}
	return v, envValue(long.at("value"), v.Value)
}

func readGenerator(o object) (string, error) {
	generator, err := o.text("generator")
	if err == nil && generator != "" && generator != "secret" {
		return "", bad(o.at("generator"), "%q is not known", generator).WithHint(`the only generator is "secret"`)
	}
	return generator, err
}

func envValue(path, value string) error {
	if strings.ContainsRune(value, 0) {
		return bad(path, "a variable cannot hold a NUL byte").WithHint("remove the \\u0000")
	}
	if len(value) > maxValue {
		return bad(path, "a variable holds at most %d KiB", maxValue>>10).WithHint("put it into a file of the app")
	}
	return nil
}

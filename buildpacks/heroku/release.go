package heroku

import (
	"maps"
	"slices"
	"strings"

	"gopkg.in/yaml.v3"

	"paas/buildpacks/procfile"
	"paas/platform"
)

// Release is what a buildpack's bin/release answers.
type Release struct {
	Processes map[platform.ProcessType]string // that the app has unless its Procfile says otherwise
	Config    map[string]string               // defaults of config vars
	Addons    []string
}

// MaxRelease is how many bytes of the answer are read.
const MaxRelease = 64 << 10

// ParseRelease reads the YAML that bin/release of the buildpack called name wrote.
func ParseRelease(name string, text []byte) (Release, error) {
	var answer struct {
		Processes map[string]string `yaml:"default_process_types"`
		Config    map[string]string `yaml:"config_vars"`
		Addons    []string          `yaml:"addons"`
	}
	if err := yaml.Unmarshal(text, &answer); err != nil {
		return Release{}, platform.Errorf(platform.Failed, "bin/release of the buildpack %s writes no YAML of the expected form", name).Because(err).
			WithHint("it has default_process_types, config_vars and addons")
	}
	r := Release{Processes: map[platform.ProcessType]string{}, Config: map[string]string{}, Addons: answer.Addons}
	for _, typ := range slices.Sorted(maps.Keys(answer.Processes)) {
		command := strings.TrimSpace(answer.Processes[typ])
		if !procfile.Valid(typ) || strings.ContainsRune(command, 0) || command == "" {
			return r, platform.Errorf(platform.Failed, "the buildpack %s names the process type %.80q, which is none", name, typ)
		}
		r.Processes[platform.ProcessType(typ)] = command
	}
	for key, value := range answer.Config {
		if key != "" && !strings.ContainsAny(key, "=\x00") && !strings.ContainsRune(value, 0) {
			r.Config[key] = value
		}
	}
	return r, nil
}

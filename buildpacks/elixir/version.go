package elixir

import (
	"regexp"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/buildpacks/versionfile"
	"paas/platform"
)

// buildpackConfig is the file of Heroku's Elixir buildpack: a shell script of assignments.
const buildpackConfig = "elixir_buildpack.config"

// toolchains are Elixir, and Erlang if a version of it is asked for, and Node.js for assets.
func toolchains(src *source.Tree, p project) ([]plan.Toolchain, error) {
	mix := plan.Toolchain{Name: "elixir", Build: true}
	commands, err := commands(src)
	if err != nil {
		return nil, err
	}
	mix.Build = !runsMix(commands)
	if mix.Version, mix.From, err = elixirVersion(src, p); err != nil {
		return nil, err
	}
	tools := []plan.Toolchain{mix}
	otp, from, err := firstOf(src, ".erlang-version", "erlang_version", "erlang")
	if err != nil {
		return nil, err
	}
	if otp != "" {
		major, _, _ := strings.Cut(strings.TrimPrefix(strings.ToUpper(otp), "OTP-"), ".")
		if err := checkVersion(major, "Erlang/OTP", from); err != nil {
			return nil, err
		}
		tools = append([]plan.Toolchain{{Name: "erlang", Version: major, From: from, Build: mix.Build}}, tools...)
	}
	if src.Has("assets/package-lock.json") {
		tools = append(tools, plan.Toolchain{Name: "node", Build: true})
	}
	return tools, nil
}

// elixirVersion is what a version file names, else what mix.exs requires (hexdocs.pm, Version, "Requirements").
func elixirVersion(src *source.Tree, p project) (wish, from string, err error) {
	wish, from, err = firstOf(src, ".elixir-version", "elixir_version", "elixir")
	if err != nil {
		return "", "", err
	}
	if wish != "" {
		wish, _, _ = strings.Cut(strings.TrimPrefix(wish, "v"), "-otp-")
		return wish, from, checkVersion(wish, "Elixir", from)
	}
	if wish = least(p.elixir); wish == "" {
		return "", "", nil
	}
	return wish, "mix.exs elixir", nil
}

// firstOf is the version in a file of one line, in the buildpack's configuration, or in .tool-versions.
func firstOf(src *source.Tree, file, key, tool string) (version, from string, err error) {
	if version, err = versionfile.Line(src, file); err != nil || version != "" {
		return version, file, err
	}
	if version, err = versionfile.Property(src, buildpackConfig, key); err != nil || version != "" {
		return strings.Trim(version, `"'`), buildpackConfig, err
	}
	version, err = versionfile.Tool(src, tool)
	return version, versionfile.Tools, err
}

var (
	number = regexp.MustCompile(`^[0-9]+(\.[0-9]+){0,3}$`)
	simple = regexp.MustCompile(`^(~>|>=|==)?\s*([0-9]+(?:\.[0-9]+){1,2})$`)
)

func checkVersion(version, name, from string) error {
	if number.MatchString(version) {
		return nil
	}
	return platform.Errorf(platform.Failed, "%s asks for %s %.40q, which is not a version", from, name, version).
		WithHint("write the number only")
}

// least turns a requirement into a version of ours. "~> 1.15.0" means that line only; one that is not simple is left
// to Mix, which refuses what does not fit.
func least(requirement string) string {
	m := simple.FindStringSubmatch(strings.TrimSpace(requirement))
	switch {
	case m == nil:
		return ""
	case m[1] == "~>" && strings.Count(m[2], ".") == 2:
		return m[2][:strings.LastIndexByte(m[2], '.')]
	case m[1] == "" || m[1] == "==":
		return m[2]
	}
	return ">=" + m[2]
}

package node

import (
	"regexp"
	"slices"
	"strings"

	"paas/buildpacks/procfile"
	"paas/buildpacks/source"
)

// Development dependencies are removed from the image when the app is built, unless it is started with one of them or
// its owner wants them to stay.

// maxProcfile bounds what is read of a Procfile to look for programs.
const maxProcfile = 64 << 10

// programs are those that have another name than their package.
var programs = map[string]string{
	"tsc": "typescript", "tsnd": "ts-node-dev", "dotenv": "dotenv-cli", "run-s": "npm-run-all", "run-p": "npm-run-all",
	"babel-node": "@babel/node", "nest": "@nestjs/cli", "sequelize": "sequelize-cli", "vue-cli-service": "@vue/cli-service",
	"remix-serve": "@remix-run/serve", "react-router-serve": "@react-router/serve", "swc": "@swc/cli", "conc": "concurrently",
	"webpack": "webpack-cli", "tailwindcss": "@tailwindcss/cli", "ng": "@angular/cli", "fastify": "fastify-cli",
}

var (
	commandWord = regexp.MustCompile(`[^\s;&|()"'=]+`)
	otherScript = regexp.MustCompile(`\b(?:npm|yarn|pnpm|bun)(?: run)? ([\w:.-]+)`)
)

// lateProgram is a development dependency that the app is started with, by its Procfile or without one, or "".
func (m member) lateProgram(src *source.Tree) string {
	text, err := src.OfPart().Head(procfile.Name, maxProcfile)
	if err != nil { // there is none, or its reader will say what is wrong with it
		text = nil
	}
	commands := strings.Split(string(text), "\n")
	if !strings.Contains("\n"+string(text), "\nweb:") {
		commands = append(commands, m.starts(src))
	}
	seen := map[string]bool{}
	for len(commands) > 0 {
		command := commands[0]
		commands = append(commands[1:], m.pkg.called(command, seen)...)
		if name := m.pkg.devProgram(command); name != "" {
			return name
		}
	}
	return ""
}

// starts is the command that starts the app without a Procfile, as far as programs in it matter.
func (m member) starts(src *source.Tree) string {
	if m.pkg.hasScript("start") && !m.watches(src) {
		return "npm run start"
	}
	return m.shape(src).start
}

func (a app) lateWarnings() []string {
	if a.late == "" {
		return nil
	}
	return []string{"The app is started with " + a.late + ", which is a development dependency: all of those stay in the image. Move it to \"dependencies\" in package.json."}
}

// called are the scripts that a command runs through the package manager, with those that run before and after them.
// Each is said once.
func (m manifest) called(command string, seen map[string]bool) (scripts []string) {
	for _, match := range otherScript.FindAllStringSubmatch(command, -1) {
		if seen[match[1]] || !m.hasScript(match[1]) {
			continue
		}
		seen[match[1]] = true
		scripts = append(scripts, m.script("pre"+match[1]), m.script(match[1]), m.script("post"+match[1]))
	}
	return scripts
}

// devProgram is a word of the command that names a package which is a development dependency only, or "".
func (m manifest) devProgram(command string) string {
	for _, word := range commandWord.FindAllString(command, -1) {
		for _, name := range []string{packageOf(word), programs[word], programs[word] + "2"} {
			_, dev := m.Dev.value[name]
			_, prod := m.Prod.value[name]
			if dev && !prod {
				return name
			}
		}
	}
	return ""
}

// packageOf is the package of a module's name: "ts-node/register" is in ts-node, "@swc-node/register" is one.
func packageOf(word string) string {
	parts := strings.SplitN(word, "/", 3)
	if strings.HasPrefix(word, "@") && len(parts) > 1 {
		return parts[0] + "/" + parts[1]
	}
	return parts[0]
}

// keptByConfig tells whether the owner wants development dependencies in the image, in the words that Heroku's
// documentation of Node.js has for that.
func keptByConfig(src *source.Tree) bool {
	if env := src.Config("NODE_ENV"); env != "" && env != "production" {
		return true
	}
	for _, name := range []string{"NPM_CONFIG_PRODUCTION", "YARN_PRODUCTION", "PNPM_CONFIG_PRODUCTION"} {
		if src.Config(name) == "false" {
			return true
		}
	}
	return slices.ContainsFunc([]string{"PNPM_SKIP_PRUNING", "YARN2_SKIP_PRUNING"}, func(name string) bool { return src.Config(name) == "true" })
}

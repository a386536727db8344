// Package php plans PHP apps, with Composer or without, and serves them: `paas php` is a web server in front of
// PHP's own process manager, in one process that both live and die with.
package php

import (
	"path"
	"regexp"
	"slices"
	"strings"

	"paas/buildpacks/node"
	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/platform"
)

const (
	vendor   = "vendor"
	cacheDir = "/cache/composer"
)

// Detect tells whether the tree says that it is a PHP app.
func Detect(src *source.Tree) bool {
	_, ok := src.First(composerFile, "index.php", "public/index.php", "web/index.php")
	return ok
}

// Plan plans a PHP app. It may be without a page.
func Plan(src *source.Tree) (plan.Plan, error) {
	c, err := readComposer(src)
	if err != nil {
		return plan.Plan{}, err
	}
	extensions, err := c.extensions()
	if err != nil {
		return plan.Plan{}, err
	}
	assets, _, err := node.PlanAssets(src)
	if err != nil {
		return plan.Plan{}, err
	}
	b := builder{src: src, composer: c, with: extensions, assets: assets}
	return b.plan(), nil
}

// builder is all that was found out about an app.
type builder struct {
	src      *source.Tree
	composer composer
	with     []string // Debian packages of extensions
	assets   node.Assets
}

func (b builder) plan() plan.Plan {
	p := plan.Plan{
		Builder:    plan.PHP,
		Detected:   b.detected(),
		Toolchains: b.toolchains(),
		Steps:      b.steps(),
		Warnings:   append(b.warnings(), b.assets.Warnings...),
		Env:        b.env(),
	}
	if root, ok := b.root(); ok {
		p.Processes = map[platform.ProcessType]string{platform.Web: command(root, "")}
	}
	if b.composer.there {
		p.Path = []string{"/app/" + vendor + "/bin"}
	}
	return p
}

func (b builder) detected() string {
	file, _ := b.src.First(composerFile, "index.php", "public/index.php", "web/index.php")
	return file
}

func (b builder) toolchains() []plan.Toolchain {
	tool := b.composer.toolchain()
	tool.With = b.with
	tools := []plan.Toolchain{tool, {Name: "static"}}
	if b.composes() {
		tools = append(tools, plan.Toolchain{Name: "composer", Build: true})
	}
	return append(tools, b.assets.Toolchains...)
}

// composes tells whether Composer is run: not if what it makes was committed.
func (b builder) composes() bool { return b.composer.there && !b.src.Has(vendor+"/autoload.php") }

func (b builder) env() map[string]string {
	switch {
	case b.composer.requires("laravel/framework"):
		return map[string]string{"APP_ENV": "production", "APP_DEBUG": "false", "LOG_CHANNEL": "stderr"}
	case b.composer.requires("symfony/framework-bundle"):
		return map[string]string{"APP_ENV": "prod", "APP_DEBUG": "0"}
	}
	return nil
}

func (b builder) steps() []plan.Step {
	app := plan.Step{Name: "app", Files: []string{"/"}}
	if len(b.assets.Toolchains) > 0 {
		app.Except = append(app.Except, "node_modules/")
	}
	if !b.composes() {
		return slices.Concat(b.assets.Before, []plan.Step{app}, b.assets.After)
	}
	app.Except = append(app.Except, vendor+"/")
	steps := []plan.Step{app, b.build()}
	if b.composer.packages() && !b.composer.whole {
		steps = slices.Insert(steps, 0, b.dependencies())
	}
	return slices.Concat(b.assets.Before, steps, b.assets.After, b.optimize())
}

const install = "composer install --no-dev --prefer-dist --no-interaction --no-progress"

// dependencies fetches what is locked. What must see the app's own files waits for them.
func (b builder) dependencies() plan.Step {
	s := plan.Step{Name: "dependencies", Files: b.composer.files, Env: composerEnv(), Caches: caches(), Config: b.composer.private}
	s.Commands = []string{install + " --no-scripts --no-autoloader"}
	return s
}

// build runs Composer again, which has nothing left to fetch: plugins, the autoloader, and the app's own scripts.
func (b builder) build() plan.Step {
	s := plan.Step{Name: "build", Files: []string{}, Env: composerEnv(), Caches: caches(), Config: true}
	prefix := ""
	if b.composer.requires("symfony/framework-bundle") {
		prefix = `export APP_ENV="${APP_ENV:-prod}"; `
	}
	s.Commands = []string{prefix + install + " --optimize-autoloader"}
	if b.composer.scripts["compile"] {
		s.Commands = append(s.Commands, prefix+"composer run-script --no-interaction compile")
	}
	return s
}

// optimize fills Laravel's caches, as far as they hold nothing of the environment: what a later config:set changes
// must not be in them. A cache that an app's code does not allow is left out.
func (b builder) optimize() []plan.Step {
	if !b.composer.requires("laravel/framework") || !b.src.Has("artisan") {
		return nil
	}
	s := plan.Step{Name: "caches", Files: []string{}, Config: true}
	for _, cache := range []string{"event", "route", "view"} {
		s.Commands = append(s.Commands, "php artisan "+cache+":cache || php artisan "+cache+":clear")
	}
	return []plan.Step{s}
}

func composerEnv() map[string]string {
	return map[string]string{
		"COMPOSER_CACHE_DIR": cacheDir, "COMPOSER_HOME": cacheDir + "/home", "COMPOSER_MEMORY_LIMIT": "-1", "COMPOSER_NO_AUDIT": "1",
		"COMPOSER_PROCESS_TIMEOUT": "0",
	}
}

func caches() []plan.Cache { return []plan.Cache{{ID: "composer", Dir: cacheDir}} }

// root is the directory of what is served: where a front page lies, the customary ones first.
func (b builder) root() (string, bool) {
	file, ok := b.src.First("public/index.php", "web/index.php", "webroot/index.php", "htdocs/index.php", "www/index.php", "index.php",
		"public/index.html", "index.html")
	return path.Dir(file), ok
}

func command(root, more string) string { return "paas php --root " + root + more }

func (b builder) warnings() (w []string) {
	c := b.composer
	if c.there && c.version == "" {
		w = append(w, "composer.json asks for no PHP version; the newest one here is taken. Pin it: composer require \"php:^"+newest+"\".")
	}
	if c.packages() && !c.locked && b.composes() {
		w = append(w, "Nothing says which versions to install. Lock them: composer update && git add composer.lock.")
	}
	if c.there && !b.composes() {
		w = append(w, "vendor is committed, so Composer is not run. To have it run: git rm -r --cached vendor.")
	}
	if c.requires("laravel/framework") {
		w = append(w, "Laravel needs a key of its own in config: APP_KEY, as php artisan key:generate --show prints one.")
	}
	return w
}

// herokuStart is a web process as Heroku's PHP apps have it: a server, options, and the directory of what is served.
var herokuStart = regexp.MustCompile(`^(?:exec\s+)?(?:\S*/)?heroku-php-(?:apache2|nginx)(?:\s+(.*))?$`)

// word is what needs no quotes in a command line and cannot be taken for an option.
var word = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_./@+-]*$`)

// Translate makes a plan's processes use our server where they name Heroku's. Options are for the files of another
// server; only those of PHP's process manager have a meaning here.
func Translate(p *plan.Plan) {
	if !slices.ContainsFunc(p.Toolchains, func(t plan.Toolchain) bool { return t.Name == "php" }) {
		return
	}
	for name, line := range p.Processes {
		match := herokuStart.FindStringSubmatch(strings.TrimSpace(line))
		if match == nil {
			continue
		}
		root, more, ignored := herokuOptions(strings.Fields(match[1]))
		p.Processes[name] = command(root, more)
		if len(ignored) > 0 {
			p.Warnings = append(p.Warnings, "Procfile: "+strings.Join(ignored, " ")+" has no effect here: paas php serves the app, not Apache or nginx.")
		}
	}
}

func herokuOptions(words []string) (root, more string, ignored []string) {
	root = "."
	for i := 0; i < len(words); i++ {
		w := words[i]
		switch {
		case w == "-F" && i+1 < len(words) && word.MatchString(words[i+1]):
			i++
			more += " --fpm-config " + words[i]
		case (w == "-C" || w == "-c" || w == "-i" || w == "-l" || w == "-p") && i+1 < len(words):
			i++
			ignored = append(ignored, w, words[i])
		case strings.HasPrefix(w, "-"):
			ignored = append(ignored, w)
		case word.MatchString(strings.Trim(w, "/")):
			root = strings.Trim(w, "/")
		}
	}
	return root, more, ignored
}

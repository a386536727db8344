package python

import (
	"errors"
	"io/fs"
	"path"
	"regexp"
	"strings"

	"paas/buildpacks/source"
)

// scripts are started with python when nothing better is known, in this order.
var scripts = [...]string{"main.py", "app.py", "server.py", "bot.py", "hello.py"}

// start is how the app begins.
type start struct {
	command string // of the web process, or ""
	warning string // about it
	static  bool   // a Django app that wants its static files collected
}

func findStart(src *source.Tree, reqs installation) (start, error) {
	if isDjango(src) {
		return django(src, reqs)
	}
	app, err := findApplication(src)
	if err != nil {
		return start{}, err
	}
	if s, ok := app.serve(reqs); ok {
		return s, nil
	}
	if file, ok := src.First(scripts[:]...); ok {
		return start{command: "python " + file}, nil
	}
	return start{}, nil
}

func isDjango(src *source.Tree) bool {
	text, err := src.Read("manage.py", maxText)
	return err == nil && strings.Contains(string(text), "django")
}

var settingsModule = regexp.MustCompile(`DJANGO_SETTINGS_MODULE['"]\s*,\s*['"]([A-Za-z0-9_.]+)['"]`)

func django(src *source.Tree, reqs installation) (start, error) {
	static, err := collectsStatic(src)
	if err != nil {
		return start{}, err
	}
	module := wsgiModule(src)
	if reqs.has("gunicorn") && module != "" {
		return start{command: "gunicorn --bind 0.0.0.0:$PORT " + module, static: static}, nil
	}
	return start{
		command: "python manage.py runserver 0.0.0.0:$PORT",
		warning: "Django's development server will serve the app. Add gunicorn to requirements.txt for a real one.",
		static:  static,
	}, nil
}

// wsgiModule is the module with the app's WSGI application: the one beside the settings, else the only one.
func wsgiModule(src *source.Tree) string {
	text, _ := src.Read("manage.py", maxText)
	if match := settingsModule.FindSubmatch(text); match != nil {
		dir, _, _ := strings.Cut(string(match[1]), ".")
		if src.Has(dir + "/wsgi.py") {
			return dir + ".wsgi"
		}
	}
	var found []string
	for _, f := range src.Files() {
		if path.Base(f.Path) == "wsgi.py" && strings.Count(f.Path, "/") == 1 && identifier.MatchString(path.Dir(f.Path)) {
			found = append(found, path.Dir(f.Path)+".wsgi")
		}
	}
	if len(found) != 1 {
		return ""
	}
	return found[0]
}

var (
	identifier   = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*$`)
	settingsFile = regexp.MustCompile(`(^|/)settings[^/]*\.py$|(^|/)settings/[^/]+\.py$`)
	staticRoot   = regexp.MustCompile(`(?m)^\s*STATIC_ROOT\s*=`)
)

// collectsStatic tells whether a settings file says where static files go: without that, collectstatic fails.
func collectsStatic(src *source.Tree) (bool, error) {
	for _, f := range src.Files() {
		if !settingsFile.MatchString(f.Path) || strings.HasPrefix(f.Path, venv+"/") {
			continue
		}
		text, err := src.Read(f.Path, maxText)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return false, err
		}
		if staticRoot.Match(text) {
			return true, nil
		}
	}
	return false, nil
}

// application is a web application object in a module.
type application struct {
	framework string // lower case, "" when none was found
	target    string // "main:app"
	module    string // "main"
}

var (
	instance = regexp.MustCompile(`(?m)^([A-Za-z_][A-Za-z0-9_]*)\s*(?::[^=\n]+)?=\s*(?:[A-Za-z_]+\.)?(FastAPI|Starlette|Litestar|Quart|Flask)\(`)
	factory  = regexp.MustCompile(`(?m)^def (create_app|make_app)\(`)
	imports  = regexp.MustCompile(`(?m)^(?:from|import)\s+(flask|fastapi|starlette|litestar|quart)\b`)
)

// findApplication looks where people put it.
func findApplication(src *source.Tree) (application, error) {
	for _, file := range []string{"main.py", "app.py", "server.py", "wsgi.py", "asgi.py", "application.py", "api.py",
		"app/main.py", "app/__init__.py", "src/main.py"} {
		text, err := src.Read(file, maxText)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return application{}, err
		}
		if app, ok := applicationIn(file, text); ok {
			return app, nil
		}
	}
	return application{}, nil
}

func applicationIn(file string, text []byte) (application, bool) {
	module := strings.ReplaceAll(strings.TrimSuffix(strings.TrimSuffix(file, ".py"), "/__init__"), "/", ".")
	if match := instance.FindSubmatch(text); match != nil {
		return application{strings.ToLower(string(match[2])), module + ":" + string(match[1]), module}, true
	}
	framework, made := imports.FindSubmatch(text), factory.FindSubmatch(text)
	if framework == nil || made == nil {
		return application{}, false
	}
	return application{string(framework[1]), module + ":" + string(made[1]) + "()", module}, true
}

// serve is the command of the server that the app requires, as far as it fits the framework.
func (a application) serve(reqs installation) (start, bool) {
	switch {
	case a.framework == "":
		return start{}, false
	case a.framework == "flask":
		return a.serveFlask(reqs), true
	case reqs.has("uvicorn") || strings.Contains(reqs.names["fastapi"], "standard") || strings.Contains(reqs.names["fastapi"], "all"):
		return start{command: "uvicorn " + a.uvicornTarget() + " --host 0.0.0.0 --port $PORT"}, true
	case reqs.has("hypercorn"):
		return start{command: "hypercorn --bind 0.0.0.0:$PORT " + quoted(a.target)}, true
	}
	return start{}, false
}

func (a application) serveFlask(reqs installation) start {
	if reqs.has("gunicorn") {
		return start{command: "gunicorn --bind 0.0.0.0:$PORT " + quoted(a.target)}
	}
	return start{
		command: "flask --app " + a.module + " run --host 0.0.0.0 --port $PORT",
		warning: "Flask's development server will serve the app. Add gunicorn to requirements.txt for a real one.",
	}
}

// uvicornTarget names a factory without its call: uvicorn has an option for that.
func (a application) uvicornTarget() string {
	if target, ok := strings.CutSuffix(a.target, "()"); ok {
		return "--factory " + target
	}
	return a.target
}

func quoted(target string) string {
	if strings.HasSuffix(target, "()") {
		return "'" + target + "'"
	}
	return target
}

package python

import (
	"errors"
	"reflect"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/buildpacks/treetest"
	"paas/platform"
)

func planned(t *testing.T, files map[string]string) plan.Plan {
	t.Helper()
	return treetest.Planned(t, Plan, files)
}

func find(t *testing.T, p plan.Plan, name string) plan.Step {
	t.Helper()
	for _, s := range p.Steps {
		if s.Name == name {
			return s
		}
	}
	t.Fatalf("no step %q in %+v", name, p.Steps)
	return plan.Step{}
}

func names(p plan.Plan) string {
	var all []string
	for _, s := range p.Steps {
		all = append(all, s.Name)
	}
	return strings.Join(all, ", ")
}

func equal(t *testing.T, what string, got, want any) {
	t.Helper()
	if !reflect.DeepEqual(got, want) {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func TestDetect(t *testing.T) {
	for file, want := range map[string]bool{
		"requirements.txt": true, "manage.py": true, "Pipfile": true, "uv.lock": true, "main.py": false, "setup.py": false, "pyproject.toml": false,
	} {
		equal(t, file, Detect(treetest.Opened(t, map[string]string{file: ""})), want)
	}
	for text, want := range map[string]bool{
		"[tool.black]\n": false, "[project]\ndependencies = []\n": false, "[project]\ndependencies = ['flask']\n": true,
		"[tool.poetry.dependencies]\npython = '^3.12'\n": true, "not toml": false,
	} {
		equal(t, text, Detect(treetest.Opened(t, map[string]string{"pyproject.toml": text})), want)
	}
}

func TestVersion(t *testing.T) {
	cases := []struct {
		files         map[string]string
		version, from string
	}{
		{map[string]string{}, "", ""},
		{map[string]string{".python-version": "# pin\n3.13\n", "runtime.txt": "python-3.12.1"}, "3.13", ".python-version"},
		{map[string]string{"runtime.txt": "python-3.12.1\r\n", ".tool-versions": "python 3.11"}, "3.12.1", "runtime.txt"},
		{map[string]string{".tool-versions": "python 3.11.2 3.10"}, "3.11.2", ".tool-versions"},
	}
	for _, c := range cases {
		c.files["requirements.txt"] = ""
		equal(t, c.from, planned(t, c.files).Toolchains, []plan.Toolchain{{Name: "python", Version: c.version, From: c.from}})
	}
}

func TestDependencies(t *testing.T) {
	const index = ".venv/bin/pip install -r requirements.txt"
	const local = ".venv/bin/pip install --no-index --find-links wheels -r requirements.txt 2>/dev/null || .venv/bin/pip install --find-links wheels -r requirements.txt"
	cases := []struct {
		name  string
		files map[string]string
		steps string
		seen  []string
		pip   string
		tools bool
	}{
		{"index", map[string]string{"requirements.txt": "flask==3.0"}, "dependencies, app", []string{"requirements.txt"}, index, true},
		{"includes", map[string]string{"requirements.txt": "-r reqs/base.txt\n-creqs/pins.txt", "reqs/base.txt": "--requirement=more.txt\nflask", "reqs/more.txt": "", "reqs/pins.txt": ""},
			"dependencies, app", []string{"requirements.txt", "reqs/base.txt", "reqs/more.txt", "reqs/pins.txt"}, index, true},
		{"circle", map[string]string{"requirements.txt": "-r a.txt\nx", "a.txt": "-r requirements.txt"}, "dependencies, app", []string{"requirements.txt", "a.txt"}, index, true},
		{"wheels", map[string]string{"requirements.txt": "My_Lib>=1 ; python_version > '3'", "wheels/my_lib-1.0-py3-none-any.whl": "x"},
			"dependencies, app", []string{"requirements.txt", "wheels/"}, local, false},
		{"wheels, not all", map[string]string{"requirements.txt": "my-lib\nflask", "wheels/my_lib-1.0-py3-none-any.whl": "x"},
			"dependencies, app", []string{"requirements.txt", "wheels/"}, local, true},
		{"find-links of its own", map[string]string{"requirements.txt": "--no-index\na\n--find-links ./deps", "deps/a-1-py3-none-any.whl": "x"},
			"dependencies, app", []string{"requirements.txt", "deps/"}, index, false},
		{"one wheel", map[string]string{"requirements.txt": "./deps/a-1-py3-none-any.whl", "deps/a-1-py3-none-any.whl": "x"},
			"dependencies, app", []string{"requirements.txt", "deps/a-1-py3-none-any.whl"}, index, false},
		{"one wheel by url", map[string]string{"requirements.txt": "a @ file:deps/a-1-py3-none-any.whl", "deps/a-1-py3-none-any.whl": "x"},
			"dependencies, app", []string{"requirements.txt", "deps/a-1-py3-none-any.whl"}, index, false},
		{"itself", map[string]string{"requirements.txt": "-e .[web]"}, "app, dependencies", []string{}, index, true},
		{"a part of it", map[string]string{"requirements.txt": "./lib"}, "app, dependencies", []string{}, index, true},
		{"git", map[string]string{"requirements.txt": "a @ git+https://host/a.git"}, "dependencies, app", []string{"requirements.txt"}, index, true},
		{"linked", map[string]string{"requirements.txt": "-> conf/r.txt", "conf/r.txt": "flask"}, "dependencies, app", []string{"requirements.txt", "conf/r.txt"}, index, true},
	}
	for _, c := range cases {
		p := planned(t, c.files)
		s := find(t, p, "dependencies")
		equal(t, c.name+": steps", names(p), c.steps)
		equal(t, c.name+": files", sorted(s.Files), sorted(c.seen))
		equal(t, c.name+": commands", s.Commands, []string{"python3 -m venv --system-site-packages .venv", c.pip})
		equal(t, c.name+": tools", s.Tools, c.tools)
	}
}

func sorted(files []string) map[string]bool {
	set := map[string]bool{}
	for _, f := range files {
		set[f] = true
	}
	return set
}

func TestNoDependencies(t *testing.T) {
	for _, text := range []string{"", "# nothing\n\n   \n", "-c pins.txt\n", "--index-url=x\n"} {
		s := find(t, planned(t, map[string]string{"requirements.txt": text, "pins.txt": ""}), "dependencies")
		equal(t, text, s.Commands, []string{"python3 -m venv --without-pip --system-site-packages .venv"})
		if len(s.Files) > 0 || s.Tools {
			t.Errorf("%q: %+v", text, s)
		}
	}
}

func TestConfigInRequirements(t *testing.T) {
	s := find(t, planned(t, map[string]string{"requirements.txt": "a @ git+https://${TOKEN}@host/a"}), "dependencies")
	equal(t, "config", s.Config, true)
}

func TestStart(t *testing.T) {
	const (
		manage  = "import os\nos.environ.setdefault('DJANGO_SETTINGS_MODULE', 'site.settings')\nfrom django.core import x\n"
		flask   = "from flask import Flask\napp = Flask(__name__)\n"
		fastapi = "import fastapi\n\napi: fastapi.FastAPI = fastapi.FastAPI(title='x')\n"
		made    = "from flask import Flask\n\ndef create_app():\n    app = Flask(__name__)\n    return app\n"
	)
	cases := []struct {
		name  string
		files map[string]string
		want  string
	}{
		{"script", map[string]string{"requirements.txt": "", "app.py": "", "server.py": ""}, "python app.py"},
		{"nothing", map[string]string{"requirements.txt": "", "x.py": ""}, ""},
		{"flask", map[string]string{"requirements.txt": "flask\ngunicorn", "app.py": flask}, "gunicorn --bind 0.0.0.0:$PORT app:app"},
		{"flask in a package", map[string]string{"requirements.txt": "flask\ngunicorn", "app/__init__.py": made}, "gunicorn --bind 0.0.0.0:$PORT 'app:create_app()'"},
		{"flask alone", map[string]string{"requirements.txt": "flask", "main.py": flask}, "flask --app main run --host 0.0.0.0 --port $PORT"},
		{"fastapi", map[string]string{"requirements.txt": "fastapi\nuvicorn", "app/main.py": fastapi}, "uvicorn app.main:api --host 0.0.0.0 --port $PORT"},
		{"fastapi extras", map[string]string{"requirements.txt": "FastAPI[standard]>=0.1", "main.py": fastapi}, "uvicorn main:api --host 0.0.0.0 --port $PORT"},
		{"fastapi hypercorn", map[string]string{"requirements.txt": "fastapi\nhypercorn", "main.py": fastapi}, "hypercorn --bind 0.0.0.0:$PORT main:api"},
		{"fastapi without a server", map[string]string{"requirements.txt": "fastapi", "main.py": fastapi}, "python main.py"},
		{"django", map[string]string{"requirements.txt": "django\ngunicorn", "manage.py": manage, "site/wsgi.py": "", "other/wsgi.py": ""}, "gunicorn --bind 0.0.0.0:$PORT site.wsgi"},
		{"django, settings elsewhere", map[string]string{"requirements.txt": "django\ngunicorn", "manage.py": "django", "core/wsgi.py": ""}, "gunicorn --bind 0.0.0.0:$PORT core.wsgi"},
		{"django alone", map[string]string{"requirements.txt": "django", "manage.py": manage, "site/wsgi.py": ""}, "python manage.py runserver 0.0.0.0:$PORT"},
	}
	for _, c := range cases {
		equal(t, c.name, planned(t, c.files).Processes[platform.Web], c.want)
	}
}

func TestCollectStatic(t *testing.T) {
	files := map[string]string{"requirements.txt": "django", "manage.py": "django", "site/settings.py": "STATIC_URL = '/s/'\n"}
	equal(t, "without a root", names(planned(t, files)), "dependencies, app")
	files["site/settings.py"] = "STATIC_ROOT = BASE / 'static'\n"
	p := planned(t, files)
	equal(t, "with a root", names(p), "dependencies, app, static files")
	if s := find(t, p, "static files"); !s.Config || !strings.Contains(s.Commands[0], "DISABLE_COLLECTSTATIC") {
		t.Errorf("%+v", s)
	}
}

func TestAssets(t *testing.T) {
	p := planned(t, map[string]string{
		"requirements.txt": "flask", "package-lock.json": "{}",
		"package.json": `{"engines": {"node": "22"}, "devDependencies": {"esbuild": "1"}, "scripts": {"build": "esbuild x"}}`,
	})
	equal(t, "steps", names(p), "asset dependencies, dependencies, app, assets")
}

func TestWarnings(t *testing.T) {
	p := planned(t, map[string]string{"requirements.txt": "flask", "app.py": "from flask import Flask\napp = Flask(__name__)\n", ".venv/bin/python": ""})
	equal(t, "warnings", len(p.Warnings), 3)
	if s := find(t, p, "app"); s.Sees(".venv/bin/python") {
		t.Error("a committed environment must not cover the one that was made")
	}
}

func TestRefuses(t *testing.T) {
	cases := []struct {
		files         map[string]string
		message, hint string
	}{
		{map[string]string{"Pipfile": ""}, "Pipfile is there, but Pipfile.lock is not", "pipenv lock"},
		{map[string]string{"pyproject.toml": "[tool.poetry.dependencies]\nflask = '*'"}, "pyproject.toml is there, but poetry.lock is not", "poetry lock"},
		{map[string]string{"uv.lock": "", "pyproject.toml": ""}, "uv.lock: the project itself is not in it", "uv lock"},
		{map[string]string{"poetry.lock": "", "pyproject.toml": "[tool.poetry.dependencies]\nflask = '*'"}, "poetry.lock does not lock flask", "poetry lock"},
		{map[string]string{"Pipfile.lock": "{}", "Pipfile": "[packages]\nflask = '*'"}, "Pipfile.lock does not lock flask", "pipenv lock"},
		{map[string]string{"pdm.lock": "", "pyproject.toml": "[project]\ndependencies = ['a']"}, "pdm.lock does not lock a", "pdm lock"},
		{map[string]string{"pdm.lock": "nonsense"}, "pdm.lock: it is not TOML", "pdm lock"},
		{map[string]string{"requirements.txt": "", "pyproject.toml": "[project]\nname = "}, "pyproject.toml is not valid", "quote"},
		{map[string]string{"Pipfile.lock": `{"default": {"a; rm": {"version": "==1"}}}`}, "is not a package with a version", "pipenv lock"},
		{map[string]string{"Pipfile.lock": `{"default": {"a": {"version": "==1", "hashes": ["md5:1"]}}}`}, "is not a hash", "pipenv lock"},
		{map[string]string{"Pipfile.lock": `{"default": {"a": {"path": "../a"}}}`}, "outside the app", "pipenv lock"},
		{map[string]string{"main.py": "", "Requirements.txt": ""}, "there is a Requirements.txt", "git mv Requirements.txt requirements.txt"},
		{map[string]string{"manage.py": "import django"}, "manage.py is there, but requirements.txt is not", "pip freeze"},
		{map[string]string{"requirements.txt": "-r gone.txt"}, "requirements.txt includes gone.txt, which is missing", "commit it"},
		{map[string]string{"requirements.txt": "-r ../x.txt"}, "requirements.txt names ../x.txt, which is outside", "copy it"},
		{map[string]string{"requirements.txt": "../lib"}, "requirements.txt names ../lib, which is outside", "copy it"},
		{map[string]string{"requirements.txt": "-> ../../etc/passwd"}, "requirements.txt leads out of the app", "symlink"},
		{map[string]string{"requirements.txt": "\xff\xfef\x00"}, "requirements.txt is UTF-16", "UTF-8"},
		{map[string]string{"requirements.txt": "", "runtime.txt": "pypy3.10-7.3"}, `runtime.txt asks for Python "pypy3.10-7.3"`, "3.13"},
		{map[string]string{"requirements.txt": strings.Repeat("#", 2<<20)}, "requirements.txt is larger than 1 MiB", ""},
	}
	for _, c := range cases {
		_, err := Plan(treetest.Opened(t, c.files))
		var e *platform.Error
		if !errors.As(err, &e) || e.Kind != platform.Failed || !strings.Contains(e.Message, c.message) || !strings.Contains(e.Hint, c.hint) {
			t.Errorf("want %q (%q), got %v", c.message, c.hint, err)
		}
	}
}

func FuzzRequirements(f *testing.F) {
	f.Add([]byte("-r a.txt\nflask[x]>=1 ; python_version > '3' # c\n-e .\n./a.whl\n\\\nx"))
	f.Fuzz(func(t *testing.T, text []byte) {
		src, err := source.Open(treetest.Files(map[string]string{Requirements: string(text), "wheels/a-1-py3-none-any.whl": ""}))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Plan(src); err != nil && platform.KindOf(err) != platform.Failed {
			t.Fatalf("no sentence: %v", err)
		}
	})
}

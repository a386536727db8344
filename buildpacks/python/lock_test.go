package python

import (
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/buildpacks/treetest"
	"paas/platform"
)

const (
	sum1 = "sha256:1111111111111111111111111111111111111111111111111111111111111111"
	sum2 = "sha256:2222222222222222222222222222222222222222222222222222222222222222"
	sum3 = "sha256:3333333333333333333333333333333333333333333333333333333333333333"
)

// As uv 0.5 and later write it.
const uvText = `version = 1
revision = 2
requires-python = ">=3.12"

[[package]]
name = "shop"
version = "0.1.0"
source = { editable = "." }
dependencies = [
    { name = "uvicorn", extra = ["standard"] },
    { name = "pywin32", marker = "sys_platform == 'win32'" },
    { name = "numpy", version = "1.0", marker = "python_full_version < '3.13'" },
    { name = "numpy", version = "2.0", marker = "python_full_version >= '3.13'" },
    { name = "helper" },
    { name = "pinned" },
]

[package.dev-dependencies]
dev = [{ name = "pytest" }]

[[package]]
name = "uvicorn"
version = "0.30.0"
source = { registry = "https://index.example/simple" }
dependencies = [{ name = "h11" }]
sdist = { url = "https://files.example/uvicorn-0.30.0.tar.gz", hash = "SUM2", size = 1 }
wheels = [{ url = "https://files.example/uvicorn-0.30.0-py3-none-any.whl", hash = "SUM1", size = 1 }]

[package.optional-dependencies]
standard = [{ name = "uvloop", marker = "platform_python_implementation != 'PyPy' and sys_platform != 'win32'" }]

[[package]]
name = "h11"
version = "0.14.0"
source = { registry = "https://index.example/simple" }
wheels = [{ url = "https://files.example/h11-0.14.0-py3-none-any.whl", hash = "SUM1" }]

[[package]]
name = "uvloop"
version = "0.20.0"
source = { registry = "https://index.example/simple" }
wheels = [
    { url = "https://files.example/uvloop-0.20.0-cp313-cp313-macosx_10_9_x86_64.whl", hash = "SUM1" },
    { url = "https://files.example/uvloop-0.20.0-cp313-cp313-manylinux_2_17_x86_64.manylinux2014_x86_64.whl", hash = "SUM2" },
    { url = "https://files.example/uvloop-0.20.0-cp313-cp313-musllinux_1_2_x86_64.whl", hash = "SUM3" },
]

[[package]]
name = "pywin32"
version = "1"
source = { registry = "https://index.example/simple" }

[[package]]
name = "numpy"
version = "1.0"
source = { registry = "https://index.example/simple" }

[[package]]
name = "numpy"
version = "2.0"
source = { registry = "https://index.example/simple" }
wheels = [{ url = "https://files.example/numpy-2.0-cp38-abi3-manylinux1_x86_64.whl", hash = "SUM3" }]

[[package]]
name = "helper"
version = "0.1.0"
source = { editable = "libs/helper" }

[[package]]
name = "pinned"
version = "3.0"
source = { git = "https://git.example/pinned?rev=v3#0123456789abcdef" }

[[package]]
name = "pytest"
version = "8.0.0"
source = { registry = "https://index.example/simple" }
wheels = [{ url = "https://files.example/pytest-8.0.0-py3-none-any.whl", hash = "SUM1" }]
`

// As Poetry 1.8 and 2.1 write it.
const poetryText = `[[package]]
name = "flask"
version = "3.0.3"
description = "x"
optional = false
python-versions = ">=3.8"
groups = ["main"]
files = [
    {file = "flask-3.0.3-py3-none-any.whl", hash = "SUM1"},
    {file = "flask-3.0.3.tar.gz", hash = "SUM2"},
]

[package.dependencies]
asgiref = {version = ">=3.2", optional = true, markers = "extra == \"async\""}
click = ">=8.1.3"
importlib-metadata = {version = ">=3.6.0", markers = "python_version < \"3.10\""}

[package.extras]
async = ["asgiref (>=3.2)"]

[[package]]
name = "asgiref"
version = "3.8.1"
files = [{file = "asgiref-3.8.1-py3-none-any.whl", hash = "SUM3"}]

[[package]]
name = "click"
version = "8.1.7"
files = [{file = "click-8.1.7.tar.gz", hash = "SUM3"}]

[package.dependencies]
colorama = {version = "*", markers = "platform_system == \"Windows\""}

[[package]]
name = "pytest"
version = "8.0.0"
files = []

[metadata]
lock-version = "2.0"
python-versions = "^3.11"
content-hash = "x"
`

const pipfileText1 = `{
    "_meta": {"hash": {"sha256": "x"}, "pipfile-spec": 6, "requires": {"python_version": "3.13"},
        "sources": [{"name": "pypi", "url": "https://index.example/simple", "verify_ssl": true},
            {"name": "own", "url": "https://own.example/simple"}]},
    "default": {
        "flask": {"hashes": ["SUM1", "SUM2"], "index": "pypi", "markers": "python_version >= '3.8'", "version": "==3.0.3"},
        "tomli": {"hashes": ["SUM1"], "markers": "python_version < '3.11'", "version": "==2.0.1"},
        "uvicorn": {"extras": ["standard"], "hashes": ["SUM3"], "version": "==0.30.0"},
        "pinned": {"git": "https://git.example/pinned", "ref": "abc"}
    },
    "develop": {"pytest": {"hashes": ["SUM1"], "version": "==8.0.0"}}
}`

const pdmText = `[metadata]
groups = ["default", "dev"]
strategy = ["inherit_metadata"]
lock_version = "4.5.0"

[[package]]
name = "flask"
version = "3.0.3"
groups = ["default"]
files = [
    {file = "flask-3.0.3-py3-none-any.whl", hash = "SUM1"},
]

[[package]]
name = "colorama"
version = "0.4.6"
groups = ["default"]
marker = "platform_system == \"Windows\""
files = []

[[package]]
name = "pytest"
version = "8.0.0"
groups = ["dev"]
files = []
`

func sums(text string) string {
	return strings.NewReplacer("SUM1", sum1, "SUM2", sum2, "SUM3", sum3).Replace(text)
}

func TestLocksBecomeExactRequirements(t *testing.T) {
	cases := []struct {
		name           string
		files          map[string]string
		hashed, others string
		index          string
		tools          bool
	}{
		{"uv", map[string]string{"uv.lock": uvText, "libs/helper/src/helper/__init__.py": "", "shop/__init__.py": "",
			"pyproject.toml": "[project]\nname = 'shop'\nrequires-python = '>=3.12'\ndependencies = ['uvicorn[standard]>=0.30', \"pywin32; sys_platform == 'win32'\"]\n"},
			"h11==0.14.0 --hash=SUM1\nnumpy==2.0 --hash=SUM3\nuvicorn==0.30.0 --hash=SUM1 --hash=SUM2\nuvloop==0.20.0 --hash=SUM2\n",
			"pinned @ git+https://git.example/pinned@0123456789abcdef\n", "", true},
		{"poetry", map[string]string{"poetry.lock": poetryText,
			"pyproject.toml": "[tool.poetry]\npackage-mode = false\n[tool.poetry.dependencies]\npython = '^3.11'\nflask = {version = '^3.0', extras = ['async']}\n[tool.poetry.group.dev.dependencies]\npytest = '*'\n[[tool.poetry.source]]\nname = 'own'\nurl = 'https://own.example/simple'\npriority = 'supplemental'\n"},
			"asgiref==3.8.1 --hash=SUM3\nclick==8.1.7 --hash=SUM3\nflask==3.0.3 --hash=SUM1 --hash=SUM2\n", "", "--extra-index-url https://own.example/simple\n", true},
		{"pipenv", map[string]string{"Pipfile.lock": pipfileText1, "Pipfile": "[packages]\nflask = '*'\n"},
			"flask==3.0.3 --hash=SUM1 --hash=SUM2\nuvicorn==0.30.0 --hash=SUM3\n", "pinned @ git+https://git.example/pinned@abc\n", "--extra-index-url https://own.example/simple\n", true},
		{"pdm", map[string]string{"pdm.lock": pdmText, "pyproject.toml": "[project]\ndependencies = ['flask']\n"},
			"flask==3.0.3 --hash=SUM1\n", "", "", false},
	}
	for _, c := range cases {
		for name, text := range c.files {
			c.files[name] = sums(text)
		}
		s := find(t, planned(t, c.files), "dependencies")
		equal(t, c.name+": hashed", s.Made[".venv/locked.txt"], c.index+sums(c.hashed))
		if c.others != "" {
			equal(t, c.name+": others", s.Made[".venv/locked-without-hashes.txt"], c.index+c.others)
		}
		equal(t, c.name+": tools", s.Tools, c.tools)
		equal(t, c.name+": files", len(s.Files), 0)
		if !strings.Contains(s.Commands[1], "--no-deps --require-hashes -r .venv/locked.txt") {
			t.Errorf("%s: %q", c.name, s.Commands)
		}
	}
}

func TestLockedPackagesChooseTheServer(t *testing.T) {
	p := planned(t, map[string]string{"uv.lock": sums(uvText), "main.py": "import fastapi\napp = fastapi.FastAPI()\n"})
	equal(t, "start", p.Processes[platform.Web], "uvicorn main:app --host 0.0.0.0 --port $PORT")
	equal(t, "detected", p.Detected, "uv.lock")
}

func TestOwnPackagesAreImportable(t *testing.T) {
	p := planned(t, map[string]string{"uv.lock": sums(uvText), "libs/helper/src/helper/__init__.py": "", "src/shop/__init__.py": "",
		"pyproject.toml": "[project]\nname = 'shop'\ndependencies = []\n[project.scripts]\nshop = 'shop.cli:main.run'\n'../x' = 'a:b'\n"})
	s := find(t, p, "dependencies")
	equal(t, "paths", s.Made[".venv/app.pth"], "/app/src\n/app/libs/helper/src\n")
	equal(t, "program", s.Made[".venv/bin/shop"], "#!/app/.venv/bin/python\nimport sys\n\nfrom shop.cli import main\n\nsys.exit(main.run())\n")
	equal(t, "files", len(s.Made), 4)
}

func TestVendoredWheelsNeedNoIndex(t *testing.T) {
	files := map[string]string{"pdm.lock": sums(pdmText), "wheels/flask-3.0.3-py3-none-any.whl": "x"}
	s := find(t, planned(t, files), "dependencies")
	equal(t, "files", s.Files, []string{"wheels/"})
	if !strings.Contains(s.Commands[1], "--find-links wheels --no-index") || s.Tools {
		t.Errorf("%+v", s)
	}
	files = map[string]string{"pdm.lock": sums(pdmText), "wheels/flask-3.0.4-py3-none-any.whl": "x"}
	if s := find(t, planned(t, files), "dependencies"); strings.Contains(s.Commands[1], "--no-index") {
		t.Error("another version is no replacement")
	}
}

func TestNoFileForThisMachine(t *testing.T) {
	_, err := Plan(treetest.Opened(t, map[string]string{"pdm.lock": strings.ReplaceAll(sums(pdmText), "flask-3.0.3-py3-none-any", "flask-3.0.3-cp312-cp312-win_amd64")}))
	if platform.KindOf(err) != platform.Failed || !strings.Contains(err.Error(), "flask 3.0.3 has no file for Python 3.13 on x86_64 Linux") {
		t.Error(err)
	}
}

func TestMarkers(t *testing.T) {
	for marker, want := range map[string]bool{
		"": true, "sys_platform == 'linux'": true, "sys_platform != 'linux'": false, "os_name in 'nt posix'": true, "'x86' in platform_machine": true,
		"python_version >= '3.9'": true, "python_version < '3.9'": false, "python_full_version < '3.13.1'": false, "'3.10' <= python_version": true,
		"python_version == '3.13.*'": true, "python_version ~= '3.12'": true, "python_version not in '2.7'": true,
		"(sys_platform == 'win32' or os_name == 'posix') and extra == ''": true, "sys_platform == 'win32' or os_name == 'nt' and 'a' == 'a'": false,
		"nonsense": true, "sys_platform ==": true, "((((": true, "extra == 'x'": false,
	} {
		equal(t, marker, place{version: "3.13"}.wants(marker), want)
	}
	equal(t, "extra", place{version: "3.13", extra: "x"}.wants("extra == \"x\""), true)
}

func TestSpecifiers(t *testing.T) {
	for spec, want := range map[string]bool{
		">=3.11": true, ">=3.11,<3.13": false, "^3.8": true, "^2.7 || ^3.8": true, "~3.12": false, "~=3.12": true, "~=3.12.1": false, "3.13.*": true,
		"==3.13.2": true, "!=3.13.*": false, "*": true, ">3.13.2": false, "<4.0": true, ">= 3.9, < 3.14": true, "^0.3.1": false,
	} {
		equal(t, spec, fits("3.13.2", spec), want)
	}
	equal(t, "0.x", fits("0.3.4", "^0.3.1"), true)
	equal(t, "rc", fits("3.0rc1", ">=3.0"), false)
	equal(t, "post", fits("3.0.post1", ">3.0"), true)
}

func TestRequiredVersion(t *testing.T) {
	for text, want := range map[string]plan.Toolchain{
		"requires-python = '>=3.11'":                     {Name: "python", Version: "3.13", From: "pyproject.toml requires-python"},
		"requires-python = '<3.13'":                      {Name: "python", Version: "<3.13", From: "pyproject.toml requires-python"},
		"[tool.poetry.dependencies]\npython = '~3.13.2'": {Name: "python", Version: "3.13", From: "pyproject.toml tool.poetry.dependencies.python"},
	} {
		p := planned(t, map[string]string{"requirements.txt": "", "pyproject.toml": "[project]\n" + text})
		equal(t, text, p.Toolchains, []plan.Toolchain{want})
	}
	p := planned(t, map[string]string{"Pipfile.lock": "{}", "Pipfile": "[requires]\npython_version = '3.13'\n"})
	equal(t, "Pipfile", p.Toolchains[0], plan.Toolchain{Name: "python", Version: "3.13", From: "Pipfile"})
}

func TestProjectWithoutLock(t *testing.T) {
	p := planned(t, map[string]string{"pyproject.toml": "[project]\nname = 'x'\ndependencies = ['flask>=3', 'gunicorn']\n", "app.py": "from flask import Flask\napp = Flask(__name__)\n"})
	s := find(t, p, "dependencies")
	equal(t, "lines", s.Made[".venv/locked.txt"], "flask>=3\ngunicorn\n")
	equal(t, "start", p.Processes[platform.Web], "gunicorn --bind 0.0.0.0:$PORT app:app")
	if !strings.Contains(strings.Join(p.Warnings, " "), "uv lock") {
		t.Errorf("%q", p.Warnings)
	}
}

func TestSeveralFilesAreToldApart(t *testing.T) {
	p := planned(t, map[string]string{"requirements.txt": "", "uv.lock": sums(uvText), "app.py": ""})
	equal(t, "detected", p.Detected, "requirements.txt")
	if !strings.Contains(strings.Join(p.Warnings, " "), "uv.lock is not read") {
		t.Errorf("%q", p.Warnings)
	}
}

func FuzzLocks(f *testing.F) {
	f.Add([]byte(uvText), []byte(poetryText), []byte(pipfileText1))
	f.Fuzz(func(t *testing.T, uv, poetry, pipenv []byte) {
		for name, text := range map[string][]byte{"uv.lock": uv, "poetry.lock": poetry, "Pipfile.lock": pipenv, "pdm.lock": uv} {
			src, err := source.Open(treetest.Files(map[string]string{name: string(text), "pyproject.toml": string(poetry)}))
			if err != nil {
				t.Fatal(err)
			}
			if _, err := Plan(src); err != nil && platform.KindOf(err) != platform.Failed {
				t.Fatalf("no sentence: %v", err)
			}
		}
	})
}

package deno

import (
	"encoding/json"
	"errors"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/buildpacks/treetest"
	"paas/platform"
)

func TestPlan(t *testing.T) {
	const hono = `{"imports": {"hono": "npm:hono@4"}}`
	for _, c := range []struct {
		name            string
		files           map[string]string
		steps, commands string
		web, version    string
	}{
		{"nothing to import", map[string]string{"deno.json": "{}", "main.ts": ""}, "app", "", "deno run --allow-all main.ts", "2.x"},
		{"frozen", map[string]string{"deno.json": hono, "deno.lock": "{}", "server.ts": ""}, "dependencies app", "deno install --frozen", "deno run --allow-all server.ts", "2.x"},
		{"without a lock", map[string]string{"deno.jsonc": "// c\n" + hono, "main.ts": ""}, "dependencies app", "deno install", "deno run --allow-all main.ts", "2.x"},
		{"lock off", map[string]string{"deno.json": `{"lock": false, "imports": {"a": "npm:a"}}`, "deno.lock": "{}", "main.ts": ""}, "dependencies app", "deno install", "deno run --allow-all main.ts", "2.x"},
		{"inline", map[string]string{"deno.lock": "{}", "main.ts": `import x from "npm:x@1"`, ".deno-version": "v2.5.1"}, "app build", "deno cache --frozen main.ts", "deno run --allow-all main.ts", "2.5.1"},
		{"tasks", map[string]string{"deno.json": `{"tasks": {"build": "x", "start": {"command": "deno run -A src/a.ts"}}}`, "src/a.ts": "", "mise.toml": "[tools]\ndeno = '2.4'"}, "app build", "deno task build", "deno task start", "2.4"},
		{"inline in a task's module", map[string]string{"deno.json": `{"tasks": {"start": "deno serve -A --port $PORT src/a.ts"}}`, "src/a.ts": `import "jsr:@a/b"`}, "app build", "deno cache src/a.ts", "deno task start", "2.x"},
		{"workspace", map[string]string{"deno.json": `{"workspace": ["./a"]}`, "main.ts": ""}, "app dependencies", "deno install", "deno run --allow-all main.ts", "2.x"},
		{"no entry", map[string]string{"deno.json": "{}"}, "app", "", "", "2.x"},
	} {
		t.Run(c.name, func(t *testing.T) {
			p, err := Plan(treetest.Opened(t, c.files))
			if err != nil {
				t.Fatal(err)
			}
			var names, commands []string
			for _, s := range p.Steps {
				names, commands = append(names, s.Name), append(commands, s.Commands...)
			}
			if got := strings.Join(names, " "); got != c.steps {
				t.Errorf("steps %q", got)
			}
			if got := strings.Join(commands, "; "); got != c.commands {
				t.Errorf("commands %q", got)
			}
			if strings.TrimPrefix(p.Processes[platform.Web], onPort) != c.web || p.Toolchains[0].Version != c.version || p.Builder != plan.Deno {
				t.Errorf("%q, %+v", p.Processes, p.Toolchains)
			}
		})
	}
}

// A server that Deno starts on its own port was never found healthy.
func TestListensOnPort(t *testing.T) {
	serves := "Deno.serve({port: 8000}, () => new Response())"
	for _, c := range []struct {
		name  string
		files map[string]string
		web   string
	}{
		{"fixed", map[string]string{"deno.json": "{}", "main.ts": serves}, onPort + "deno run --allow-all main.ts"},
		{"task", map[string]string{"deno.json": `{"tasks": {"start": "deno serve main.ts"}}`, "main.ts": ""}, onPort + "deno task start"},
		{"asked", map[string]string{"deno.json": "{}", "main.ts": "import './a.ts'", "a.ts": `Deno.env.get("PORT")`}, "deno run --allow-all main.ts"},
		{"asked by the task", map[string]string{"deno.json": `{"tasks": {"start": "deno serve --port $PORT main.ts"}}`}, "deno task start"},
	} {
		p := treetest.Planned(t, Plan, c.files)
		if got := p.Processes[platform.Web]; got != c.web {
			t.Errorf("%s: %q", c.name, got)
		}
	}
}

func TestDetect(t *testing.T) {
	for _, c := range []struct {
		files map[string]string
		want  bool
	}{
		{map[string]string{"deno.json": "{}"}, true},
		{map[string]string{"deno.lock": "{}", "package.json": "{}"}, true},
		{map[string]string{"deno.jsonc": `{"tasks": {"start": "x"}}`, "package.json": "{}"}, true},
		{map[string]string{"deno.json": `{"fmt": {}}`, "package.json": "{}"}, false},
		{map[string]string{"package.json": "{}"}, false},
	} {
		if got := Detect(treetest.Opened(t, c.files)); got != c.want {
			t.Errorf("%v: %v", c.files, got)
		}
	}
}

func TestRefuses(t *testing.T) {
	for _, c := range []struct {
		files   map[string]string
		message string
	}{
		{map[string]string{"deno.json": "{\n]"}, "deno.json line 2 is not JSON"},
		{map[string]string{"deno.json": "-> /etc/passwd"}, "deno.json leads out of the app"},
		{map[string]string{"deno.json": "{}", ".deno-version": "two; rm"}, `.deno-version asks for Deno "two; rm"`},
	} {
		_, err := Plan(treetest.Opened(t, c.files))
		var e *platform.Error
		if !errors.As(err, &e) || e.Kind != platform.Failed || !strings.Contains(e.Message, c.message) || e.Hint == "" {
			t.Errorf("want %q, got %v", c.message, err)
		}
	}
}

func TestComments(t *testing.T) {
	for text, want := range map[string]string{
		`{"a": "// no", /* yes
*/ "b": [1, 2,], // c
}`: `{"a":"// no","b":[1,2]}`,
		`{"a\"//": 1,}`: `{"a\"//":1}`,
		`{} /* open`:    `{}`,
		`{"a": 1} //`:   `{"a":1}`,
	} {
		var value any
		if err := json.Unmarshal(withoutComments([]byte(text)), &value); err != nil {
			t.Errorf("%q: %v", text, err)
			continue
		}
		got, err := json.Marshal(value)
		if err != nil || string(got) != want {
			t.Errorf("%q: %s, %v", text, got, err)
		}
	}
}

func FuzzComments(f *testing.F) {
	f.Add([]byte("{\"a\": /* x */ 1,}//"))
	f.Fuzz(func(t *testing.T, text []byte) {
		if got := withoutComments(text); len(got) != len(text) {
			t.Errorf("%q became %q", text, got)
		}
	})
}

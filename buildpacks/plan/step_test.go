package plan

import "testing"

func TestSees(t *testing.T) {
	cases := []struct {
		files, except []string
		path          string
		want          bool
	}{
		{[]string{"package.json"}, nil, "package.json", true},
		{[]string{"package.json"}, nil, "a/package.json", false},
		{[]string{"wheels/"}, nil, "wheels/a.whl", true},
		{[]string{"wheels/"}, nil, "wheels", false},
		{[]string{"wheels/"}, nil, "wheels2/a.whl", false},
		{[]string{"/"}, nil, "any/thing", true},
		{[]string{"/"}, []string{"*.go"}, "cmd/a/main.go", false},
		{[]string{"/"}, []string{"*.go"}, "cmd/a/page.gohtml", true},
		{[]string{"/"}, []string{"vendor/"}, "vendor/x/LICENSE", false},
		{[]string{"*.go", "go.mod"}, nil, "go.mod", true},
		{nil, nil, "go.mod", false},
	}
	for _, c := range cases {
		if got := (Step{Files: c.files, Except: c.except}).Sees(c.path); got != c.want {
			t.Errorf("files %q except %q sees %q: %v", c.files, c.except, c.path, got)
		}
	}
}

func TestKeeps(t *testing.T) {
	if !(Step{}).Keeps("x") {
		t.Error("a step without output keeps everything")
	}
	s := Step{Output: []string{"bin/"}}
	if !s.Keeps("bin/hello") || s.Keeps(".cache/x") {
		t.Error("only bin/ is kept")
	}
}

func TestTitle(t *testing.T) {
	p := Plan{Builder: Node, Detected: "package.json"}
	if got := p.Title(); got != "Node.js app detected (package.json)" {
		t.Error(got)
	}
}

package dotnet

import (
	"errors"
	"strings"
	"testing"

	"paas/buildpacks/source"
	"paas/buildpacks/treetest"
	"paas/platform"
)

const web = `<Project Sdk="Microsoft.NET.Sdk.Web"><PropertyGroup><TargetFramework>net8.0</TargetFramework></PropertyGroup></Project>`

func TestPlan(t *testing.T) {
	cases := []struct {
		name, version, start string
		files                map[string]string
	}{
		{"framework", "8.0", "'out/App'", map[string]string{"App.csproj": web}},
		{"global.json", "9.0", "'out/App'", map[string]string{"App.csproj": web, "global.json": `{"sdk": {"version": "9.0.101"}}`}},
		{"web of a solution", "8.0", "'out/Web'", map[string]string{"A.sln": "", "src/Lib/Lib.csproj": `<Project Sdk="Microsoft.NET.Sdk"/>`, "src/Web/Web.csproj": web}},
		{"assembly", "9.0", "'out/x'", map[string]string{"App.fsproj": `<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup><OutputType>Exe</OutputType><AssemblyName>x</AssemblyName><TargetFramework>net9.0</TargetFramework></PropertyGroup></Project>`}},
	}
	for _, c := range cases {
		src, err := source.Open(treetest.Files(c.files))
		if err != nil {
			t.Fatal(err)
		}
		p, err := Plan(src)
		if err != nil || !Detect(src) || p.Toolchains[0].Version != c.version || !strings.HasSuffix(p.Processes[platform.Web], c.start) {
			t.Errorf("%s: %+v %v %v", c.name, p.Toolchains, p.Processes, err)
		}
	}
}

func TestRefuses(t *testing.T) {
	for message, files := range map[string]map[string]string{
		"no project of it makes a program": {"Lib.csproj": `<Project Sdk="Microsoft.NET.Sdk"/>`},
		"App.csproj cannot be read":        {"App.csproj": "<Project"},
		"global.json line 1":               {"App.csproj": web, "global.json": "{,}"},
	} {
		src, err := source.Open(treetest.Files(files))
		if err != nil {
			t.Fatal(err)
		}
		_, err = Plan(src)
		var e *platform.Error
		if !errors.As(err, &e) || !strings.Contains(e.Message, message) {
			t.Errorf("want %q, got %v", message, err)
		}
	}
}

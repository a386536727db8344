package cpp

import (
	"testing"

	"paas/buildpacks/source"
	"paas/buildpacks/treetest"
	"paas/platform"
)

func TestPlan(t *testing.T) {
	cases := []struct {
		name, web string
		files     map[string]string
	}{
		{"as the project", "bin/app", map[string]string{"CMakeLists.txt": "project(app CXX)\nadd_executable(other b.cpp)\nadd_executable(${PROJECT_NAME} a.cpp)\n"}},
		{"the only one", "bin/server", map[string]string{"CMakeLists.txt": "PROJECT(app)\nadd_executable( server a.cpp)\n"}},
		{"several", "", map[string]string{"CMakeLists.txt": "project(app)\nadd_executable(x a.c)\nadd_executable(y b.c)\n"}},
		{"procfile", "", map[string]string{"CMakeLists.txt": "project(app)\nadd_executable(app a.c)\n", "Procfile": "web: bin/app --port $PORT"}},
		{"meson", "bin/app", map[string]string{"meson.build": "project('app', 'c')\nexecutable('app', 'a.c')\n"}},
		{"make", "", map[string]string{"Makefile": "all:\n", "src/a.c": ""}},
		{"make's goal", "./server", map[string]string{"Makefile": "CFLAGS=-O2\nserver: main.o util.o\n\t$(CC) -o $@ $^\nclean:\n\trm server\n", "main.c": ""}},
		{"make's variable", "./bin/web", map[string]string{"Makefile": "BIN := bin\nTARGET ?= $(BIN)/web\n.PHONY: all dirs clean\nall: dirs $(TARGET)\n\n$(TARGET): \\\n  a.o\n", "a.c": ""}},
		{"make several", "", map[string]string{"Makefile": "all: client server\n", "a.c": ""}},
		{"make round", "", map[string]string{"Makefile": "X = $(X) $(X)\nall: all\n$(X): $(X)\n", "a.c": ""}},
		{"make objects", "", map[string]string{"Makefile": "lib.a: a.o\n", "a.c": ""}},
		{"make hostile", "", map[string]string{"Makefile": "all: ;id\n", "a.c": ""}},
		{"make climbing", "", map[string]string{"Makefile": "../../bin/sh: a.o\n", "a.c": ""}},
		{"hostile", "", map[string]string{"CMakeLists.txt": "project(;id)\nadd_executable($(id) a.c)\n"}},
	}
	for _, c := range cases {
		src, err := source.Open(treetest.Files(c.files))
		if err != nil {
			t.Fatal(err)
		}
		p, err := Plan(src)
		if err != nil || !Detect(src) || p.Processes[platform.Web] != c.web {
			t.Errorf("%s: %v %v", c.name, p.Processes, err)
		}
	}
	src, err := source.Open(treetest.Files(map[string]string{"Makefile": "site:\n\thugo\n", "index.html": ""}))
	if err != nil || Detect(src) {
		t.Errorf("a Makefile alone is no C app (%v)", err)
	}
}

package manifest

import (
	"strings"

	"paas/platform"
)

const maxQuantity = 1000

func (a *App) readFormation(root object) error {
	processes, err := root.object("formation")
	if err != nil {
		return err
	}
	a.Formation = map[platform.ProcessType]int{}
	for _, name := range processes.names() {
		process, err := processType(processes, name)
		if err != nil {
			return err
		}
		entry, err := processes.object(name)
		if err != nil {
			return err
		}
		if !entry.has("quantity") {
			continue
		}
		if a.Formation[process], err = entry.whole("quantity", 0, 0, maxQuantity); err != nil {
			return err
		}
	}
	return nil
}

// warnScripts names the scripts that other platforms would run. A script of the wrong type is as unknown
// as any other key.
func (a *App) warnScripts(root object) {
	scripts, err := root.object("scripts")
	if err != nil {
		return
	}
	dokku, err := scripts.object("dokku")
	if err != nil {
		return
	}
	var found []string
	for _, s := range []struct {
		o   object
		key string
	}{{scripts, "postdeploy"}, {dokku, "predeploy"}, {dokku, "postdeploy"}} {
		if s.o.has(s.key) {
			found = append(found, s.o.at(s.key))
		}
	}
	if len(found) > 0 {
		a.Warnings = append(a.Warnings, "app.json "+strings.Join(found, ", ")+" will not run; use \"release:\" in the Procfile.")
	}
}

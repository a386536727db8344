package manifest

import "paas/platform"

const maxQuantity = 1000

// readFormation reads how many instances there are to be of each process type, and how many may start at once.
func (a *App) readFormation(root object) error {
	processes, err := root.object("formation")
	if err != nil {
		return err
	}
	a.Formation, a.Parallel = map[platform.ProcessType]int{}, map[platform.ProcessType]int{}
	for _, name := range processes.names() {
		process, err := processType(processes, name)
		if err != nil {
			return err
		}
		entry, err := processes.object(name)
		if err != nil {
			return err
		}
		if err := a.readQuantities(process, entry); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) readQuantities(process platform.ProcessType, entry object) error {
	a.noteUnknown(entry, "quantity", "max_parallel", "size")
	quantity, err := entry.whole("quantity", 0, 0, maxQuantity)
	if err != nil {
		return err
	}
	parallel, err := entry.whole("max_parallel", 0, -1, maxQuantity) // Dokku's -1: all
	if err != nil {
		return err
	}
	if process == platform.ReleasePhase {
		a.note("app.json %s has no effect: the release command runs once, before anything starts", entry.path)
		return nil
	}
	if entry.has("quantity") {
		a.Formation[process] = quantity
	}
	if parallel > 0 {
		a.Parallel[process] = parallel
	}
	return nil
}

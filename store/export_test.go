package store

import "slices"

// Decided tells whether it is written down if the audit tells of a table.
func Decided(table string) bool {
	return slices.Contains(unwatched(), table) || slices.ContainsFunc(watchedRows(), func(w watched) bool { return w.table == table })
}

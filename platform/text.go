package platform

import (
	"io"
	"strings"
	"text/tabwriter"
)

// Piped marks a writer that no person reads directly: tables go there tab-separated, without header.
type Piped struct{ io.Writer }

// table writes aligned rows under a header, if there is one, or what a Piped writer wants.
func table(w io.Writer, header []string, rows [][]string) error {
	if _, piped := w.(Piped); piped {
		return tabbed(w, rows)
	}
	t := tabwriter.NewWriter(w, 0, 8, 2, ' ', 0)
	if header != nil {
		rows = append([][]string{header}, rows...)
	}
	for _, row := range rows {
		if _, err := io.WriteString(t, strings.Join(row, "\t")+"\n"); err != nil {
			return err
		}
	}
	return t.Flush()
}

func tabbed(w io.Writer, rows [][]string) error {
	for _, row := range rows {
		if _, err := io.WriteString(w, strings.Join(row, "\t")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// Near tells whether a typo away (Damerau-Levenshtein distance at most 2, and less than half the word).
func Near(a, b string) bool {
	return a != b && distance(a, b) <= min(2, (len(b)-1)/2)
}

// distance is the optimal string alignment distance: insertions, deletions, substitutions and swaps of
// neighbours, each counting one.
func distance(a, b string) int {
	d := make([][]int, len(a)+1)
	for i := range d {
		d[i] = make([]int, len(b)+1)
		d[i][0] = i
	}
	for j := range d[0] {
		d[0][j] = j
	}
	for i := 1; i <= len(a); i++ {
		for j := 1; j <= len(b); j++ {
			cost := 1
			if a[i-1] == b[j-1] {
				cost = 0
			}
			d[i][j] = min(d[i-1][j]+1, d[i][j-1]+1, d[i-1][j-1]+cost)
			if i > 1 && j > 1 && a[i-1] == b[j-2] && a[i-2] == b[j-1] {
				d[i][j] = min(d[i][j], d[i-2][j-2]+1)
			}
		}
	}
	return d[len(a)][len(b)]
}

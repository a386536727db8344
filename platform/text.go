package platform

import (
	"io"
	"strings"
	"text/tabwriter"
)

// table writes rows for whom w is: tab-separated for a Piped one, else aligned under a header, if there is one.
func table(w io.Writer, header []string, rows [][]string) error {
	if to, piped := w.(Piped); piped {
		if to.Header && header != nil {
			rows = append([][]string{header}, rows...)
		}
		return tabbed(w, rows)
	}
	screen, _ := w.(Screen)
	var b strings.Builder
	t := tabwriter.NewWriter(&b, 0, 8, 2, ' ', 0)
	if header != nil {
		_, _ = io.WriteString(t, strings.Join(header, "\t")+"\n")
	}
	for _, row := range rows {
		_, _ = io.WriteString(t, strings.Join(cells(row, screen.when), "\t")+"\n")
	}
	_ = t.Flush() // into memory
	text := b.String()
	if title, rest, ok := strings.Cut(text, "\n"); ok && header != nil {
		text = screen.paint(bold, title) + "\n" + rest
	}
	_, err := io.WriteString(w, text)
	return err
}

func tabbed(w io.Writer, rows [][]string) error {
	for _, row := range rows {
		if _, err := io.WriteString(w, strings.Join(cells(row, nil), "\t")+"\n"); err != nil {
			return err
		}
	}
	return nil
}

// cells keeps a row on one line, and its columns apart, whatever is in them.
func cells(row []string, show func(string) string) []string {
	out := make([]string, len(row))
	for i, cell := range row {
		if show != nil {
			cell = show(cell)
		}
		out[i] = cellBreaks.Replace(cell)
	}
	return out
}

var cellBreaks = strings.NewReplacer("\t", `\t`, "\n", `\n`, "\r", `\r`)

// Near tells whether a typo away (Damerau-Levenshtein distance at most 2, and less than half the word).
func Near(a, b string) bool {
	return a != b && Distance(a, b) <= min(2, (len(b)-1)/2)
}

// Distance is the optimal string alignment distance: insertions, deletions, substitutions and swaps of
// neighbours, each counting one.
func Distance(a, b string) int {
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

// WriteTable is table for outputs of other packages.
func WriteTable(w io.Writer, header []string, rows [][]string) error { return table(w, header, rows) }

package verbs

import (
	"strings"
	"testing"

	"paas/platform"
)

func TestSymbolsFollowTheLocale(t *testing.T) {
	for _, c := range []struct {
		environ map[string]string
		utf8    bool
	}{
		{nil, true},
		{map[string]string{"LANG": "C"}, false},
		{map[string]string{"LANG": "de_DE.UTF-8"}, true},
		{map[string]string{"LANG": "C.utf8", "LC_ALL": "POSIX"}, false},
		{map[string]string{"LANG": "C", "LC_CTYPE": "C.UTF-8"}, true},
		{map[string]string{"LC_ALL": "", "LANG": "en_US.ISO-8859-1"}, false},
	} {
		if got := UTF8(c.environ); got != c.utf8 {
			t.Errorf("%v: %v", c.environ, got)
		}
		var b strings.Builder
		d := platform.Diagnosis{Findings: []platform.Finding{{Check: "pulse", Grade: platform.Failing, Text: "None.", Fix: "rest"}}}
		if err := d.Text(letters(Session{Env: c.environ}, d, &b)); err != nil {
			t.Fatal(err)
		}
		if ascii := strings.HasPrefix(b.String(), "x pulse") && strings.Contains(b.String(), "-> rest"); ascii == c.utf8 {
			t.Errorf("%v: %q", c.environ, b.String())
		}
	}
}

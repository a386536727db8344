package platform

import (
	"maps"
	"strings"
	"testing"
)

func TestParseDotenv(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]Config{
		"":                                      {},
		"A=1\nB=2":                              {"A": "1", "B": "2"},
		"# c\n\n export A = x y  # z\r\nB=#no":  {"A": "x y", "B": ""},
		"A=x#y":                                 {"A": "x#y"},
		"A='x\ny' # c\nB=\"1\\n\\t\\\"\\$\\q\"": {"A": "x\ny", "B": "1\n\t\"$\\q"},
		"A=`'\"`\nA=2":                          {"A": "2"},
		"\ufeffA=1":                             {"A": "1"},
	} {
		got, err := parseDotenv(text)
		if err != nil || !maps.Equal(got, want) {
			t.Errorf("%q: %q, %v", text, got, err)
		}
	}
	for text, says := range map[string]string{
		"A=1\nwhat": "line 2", "A='x": "line 1", "A='x' y": "line 1", "1A=x": "line 1", "=x": "line 1", "A='\n\n'\n!": "line 4",
	} {
		if _, err := parseDotenv(text); KindOf(err) != Usage || !strings.Contains(err.Error(), says) {
			t.Errorf("%q: %v", text, err)
		}
	}
}

// What is written is read the same, whatever it is; also as the value of a shell.
func FuzzDotenv(f *testing.F) {
	f.Add("it's \"$x\" `y`\\n\r\n#")
	f.Fuzz(func(t *testing.T, value string) {
		if len(value) > maxConfigValue || strings.ContainsRune(value, 0) || strings.Contains(value, "\r\n") {
			return
		}
		got, err := parseDotenv(writeDotenv("A", value) + "\nB=1\n")
		if err != nil || got["A"] != value || got["B"] != "1" {
			t.Fatalf("%q became %q, %v", value, got, err)
		}
	})
}

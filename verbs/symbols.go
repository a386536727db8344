package verbs

import (
	"io"
	"strings"

	"paas/platform"
)

// letters is where an output goes whose symbols the caller's terminal may not have.
func letters(s Session, out output, w io.Writer) io.Writer {
	if _, ok := out.(platform.Symbolic); !ok || UTF8(s.Env) {
		return w
	}
	return plain{w}
}

// UTF8 tells whether a caller reads UTF-8: what LC_ALL, else LC_CTYPE, else LANG says (POSIX, Environment Variables,
// 8.2). A caller that sent none of them does: all terminals of today do.
func UTF8(env map[string]string) bool {
	for _, name := range []string{"LC_ALL", "LC_CTYPE", "LANG"} {
		if value := strings.ToLower(env[name]); value != "" {
			return strings.Contains(value, "utf-8") || strings.Contains(value, "utf8")
		}
	}
	return true
}

// plain writes symbols in ASCII.
type plain struct{ io.Writer }

func (p plain) Write(b []byte) (int, error) {
	text := strings.NewReplacer("✓", "ok", "✗", "x", "→", "->", "…", "...", "—", "-", "×", "x").Replace(string(b))
	if _, err := io.WriteString(p.Writer, text); err != nil {
		return 0, err
	}
	return len(b), nil
}

package platform

import (
	"strings"
)

// parseDotenv reads the lines of a .env file as the dotenv libraries do: KEY=value, "export" in front if one likes,
// # begins a comment. Values may stand in '…' or `…`, where nothing is special, or in "…", where \n, \r, \t, \", \\
// and \$ are; in quotes they may go over several lines. What stands outside of quotes is trimmed, and ends at " #".
// Nothing is expanded. A key that is there twice has its last value.
func parseDotenv(text string) (Config, error) {
	d := dotenv{rest: strings.TrimPrefix(strings.ReplaceAll(text, "\r\n", "\n"), "\ufeff"), line: 1}
	out := Config{}
	for d.skipBlank() {
		key, value, err := d.pair()
		if err != nil {
			return nil, err
		}
		out[key] = value
	}
	return out, nil
}

// dotenv is the rest of a file.
type dotenv struct {
	rest string
	line int
}

// skipBlank goes to the next line that says something, and is false if there is none.
func (d *dotenv) skipBlank() bool {
	for d.rest != "" {
		line, rest, more := strings.Cut(d.rest, "\n")
		line = strings.TrimSpace(line)
		if line != "" && line[0] != '#' {
			return true
		}
		if d.rest = rest; more {
			d.line++
		}
	}
	return false
}

func (d *dotenv) fail(format string, args ...any) error {
	e := Errorf(Usage, "line %d of the input "+format, append([]any{d.line}, args...)...)
	return e.WithHint("every line is like KEY=value or KEY=\"a value\"; nothing was changed")
}

// pair reads one assignment with the rest of its line.
func (d *dotenv) pair() (key, value string, err error) {
	line, _, _ := strings.Cut(d.rest, "\n")
	name, _, ok := strings.Cut(line, "=")
	key = strings.TrimSpace(name)
	if after, exported := strings.CutPrefix(key, "export "); exported {
		key = strings.TrimSpace(after)
	}
	if !ok || !configKey.MatchString(key) {
		return "", "", d.fail("does not set a config var")
	}
	d.rest = strings.TrimLeft(d.rest[len(name)+1:], " \t")
	if d.rest != "" && strings.IndexByte("'\"`", d.rest[0]) >= 0 {
		value, err = d.quoted(key)
	} else {
		value, d.rest, _ = strings.Cut(d.rest, "\n")
		d.line++
		if at := strings.Index(" "+value, " #"); at >= 0 {
			value = value[:at]
		}
		value = strings.TrimSpace(value)
	}
	if err == nil && (len(value) > maxConfigValue || strings.ContainsRune(value, 0)) {
		err = Errorf(Usage, "the value of %s is longer than %d KiB or has a NUL byte", key, maxConfigValue>>10)
	}
	return key, value, err
}

// quoted reads up to the quote that closes, and makes sure that nothing but a comment comes after it.
func (d *dotenv) quoted(key string) (string, error) {
	quote := d.rest[0]
	var b strings.Builder
	for i := 1; i < len(d.rest); i++ {
		c := d.rest[i]
		switch {
		case c == quote:
			line, rest, _ := strings.Cut(d.rest[i+1:], "\n")
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				return "", d.fail("has more behind the value of %s", key)
			}
			d.line += strings.Count(d.rest[:i], "\n") + 1
			d.rest = rest
			return b.String(), nil
		case c == '\\' && quote == '"' && i+1 < len(d.rest):
			i++
			b.WriteString(unescaped(d.rest[i]))
		default:
			b.WriteByte(c)
		}
	}
	return "", d.fail("opens a quote for %s that nothing closes", key)
}

func unescaped(c byte) string {
	if at := strings.IndexByte(`nrt"\$`, c); at >= 0 {
		return "\n\r\t\"\\$"[at : at+1]
	}
	return `\` + string(c)
}

// writeDotenv writes what parseDotenv, and dotenv libraries, read the same.
func writeDotenv(key, value string) string {
	if plainValue(value) {
		return key + "=" + value
	}
	if !strings.Contains(value, "'") {
		return key + "='" + value + "'" // nothing is special in there
	}
	escape := strings.NewReplacer(`\`, `\\`, `"`, `\"`, "$", `\$`, "\n", `\n`, "\r", `\r`)
	return key + `="` + escape.Replace(value) + `"`
}

// plainValue tells whether a value needs no quotes anywhere.
func plainValue(s string) bool {
	const safe = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_-./:@%+,="
	return s != "" && strings.Trim(s, safe) == ""
}

package verbs

import (
	"strconv"
	"strings"

	"paas/platform"
)

// Word is one word of a command line: what it means, and how it was written, quotes and all.
type Word struct{ Text, Raw string }

// Split splits a command line as a POSIX shell would before any expansion (sections 2.2 and 2.3 of the
// Shell Command Language): blanks separate, quotes (”, "" and $”) and backslashes keep together, nothing else
// is special.
func Split(line string) ([]Word, error) {
	var words []Word
	for i := 0; ; {
		for i < len(line) && isBlank(line[i]) {
			i++
		}
		if i == len(line) {
			return words, nil
		}
		text, end, ok := readWord(line, i)
		if !ok {
			return nil, platform.Errorf(platform.Usage, "a quote or a backslash at the end is left open")
		}
		words = append(words, Word{Text: text, Raw: line[i:end]})
		i = end
	}
}

func isBlank(c byte) bool { return c == ' ' || c == '\t' || c == '\n' || c == '\r' }

func readWord(line string, i int) (text string, end int, ok bool) {
	var b strings.Builder
	for i < len(line) && !isBlank(line[i]) {
		switch c := line[i]; c {
		case '\'':
			n := strings.IndexByte(line[i+1:], '\'')
			if n < 0 {
				return "", 0, false
			}
			b.WriteString(line[i+1 : i+1+n])
			i += n + 2
		case '"':
			if i, ok = readDouble(line, i+1, &b); !ok {
				return "", 0, false
			}
		case '$':
			if !strings.HasPrefix(line[i:], "$'") {
				b.WriteByte(c)
				i++
				continue
			}
			if i, ok = readDollar(line, i+2, &b); !ok {
				return "", 0, false
			}
		case '\\':
			if i+1 == len(line) {
				return "", 0, false
			}
			if line[i+1] != '\n' { // a line that goes on
				b.WriteByte(line[i+1])
			}
			i += 2
		default:
			b.WriteByte(c)
			i++
		}
	}
	return b.String(), i, true
}

// readDouble reads up to the closing quote; a backslash keeps its meaning only before these five.
func readDouble(line string, i int, b *strings.Builder) (end int, ok bool) {
	for ; i < len(line); i++ {
		switch c := line[i]; {
		case c == '"':
			return i + 1, true
		case c == '\\' && i+1 < len(line) && strings.IndexByte("\"\\$`\n", line[i+1]) >= 0:
			if i++; line[i] != '\n' {
				b.WriteByte(line[i])
			}
		default:
			b.WriteByte(c)
		}
	}
	return 0, false
}

// readDollar reads up to the quote that ends $'…' (section 2.2.4 of the standard's Issue 8), which bash's
// printf %q writes.
func readDollar(line string, i int, b *strings.Builder) (end int, ok bool) {
	for i < len(line) {
		switch c := line[i]; {
		case c == '\'':
			return i + 1, true
		case c == '\\' && i+1 < len(line):
			i = readEscape(line, i+1, b)
		default:
			b.WriteByte(c)
			i++
		}
	}
	return 0, false
}

// readEscape reads what stands behind a backslash: a letter, or up to three octal or two hexadecimal digits.
func readEscape(line string, i int, b *strings.Builder) (end int) {
	c := line[i]
	if at := strings.IndexByte("abfnrtveE", c); at >= 0 {
		b.WriteByte("\a\b\f\n\r\t\v\x1b\x1b"[at])
		return i + 1
	}
	if c == 'x' {
		if end := digits(line, i+1, 2, isHex); end > i+1 {
			return octet(line[i+1:end], 16, end, b)
		}
	}
	if end := digits(line, i, 3, isOctal); end > i {
		return octet(line[i:end], 8, end, b)
	}
	b.WriteByte(c) // \\, \', \", \? and what means nothing
	return i + 1
}

func octet(digits string, base, end int, b *strings.Builder) int {
	n, _ := strconv.ParseUint(digits, base, 16) // at most three digits
	b.WriteByte(byte(n))
	return end
}

func digits(line string, i, most int, is func(byte) bool) (end int) {
	for end = i; end < len(line) && end < i+most && is(line[end]); end++ {
		continue
	}
	return end
}

func isOctal(c byte) bool { return c >= '0' && c <= '7' }

func isHex(c byte) bool { return strings.IndexByte("0123456789abcdefABCDEF", c) >= 0 }

// texts are the words' meanings.
func texts(words []Word) []string {
	list := make([]string, len(words))
	for i, w := range words {
		list[i] = w.Text
	}
	return list
}

// asWritten turns the last n words into the shell line that their writer meant. One word is a line by
// itself ('echo $HOME'); of several each keeps its quotes, so that they reach the command unbroken.
func asWritten(words []Word, n int) string {
	tail := words[len(words)-n:]
	if n == 1 {
		return tail[0].Text
	}
	raw := make([]string, n)
	for i, w := range tail {
		raw[i] = w.Raw
	}
	return strings.Join(raw, " ")
}

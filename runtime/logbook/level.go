package logbook

import (
	"bytes"

	"paas/platform"
)

// levelWords are how programs spell levels, in small letters.
var levelWords = map[string]platform.LogLevel{
	"trace": platform.LogDebug, "debug": platform.LogDebug, "dbg": platform.LogDebug, "verbose": platform.LogDebug, "fine": platform.LogDebug,
	"info": platform.LogInfo, "notice": platform.LogInfo, "information": platform.LogInfo, "inf": platform.LogInfo, "log": platform.LogInfo,
	"warn": platform.LogWarn, "warning": platform.LogWarn, "wrn": platform.LogWarn,
	"error": platform.LogError, "err": platform.LogError, "severe": platform.LogError,
	"fatal": platform.LogFatal, "critical": platform.LogFatal, "crit": platform.LogFatal, "panic": platform.LogFatal,
	"emerg": platform.LogFatal, "alert": platform.LogFatal, "emergency": platform.LogFatal, "ftl": platform.LogFatal,
}

// Where a level is looked for: in the fields of JSON and logfmt, and in the first words.
const (
	levelReach = 256 // bytes from the beginning
	levelWord  = 12  // bytes of the longest word
	firstWords = 6
)

// levelOf is the level that a text tells of itself: {"level":"warn"}, level=warn, [WARN], WARN:, "I0102 15:04:05" as klog
// writes it. pino's and bunyan's numbers are tens.
func levelOf(text []byte) (platform.LogLevel, bool) {
	text = text[:min(len(text), levelReach)]
	if len(text) == 0 {
		return 0, false
	}
	if l, ok := fieldLevel(text); ok {
		return l, true
	}
	if text[0] == '{' {
		return 0, false
	}
	return wordLevel(text)
}

// fieldLevel finds level, severity or lvl as a field.
func fieldLevel(text []byte) (platform.LogLevel, bool) {
	for _, name := range []string{"level", "severity", "lvl", "at"} {
		for rest := text; ; {
			i := bytes.Index(rest, []byte(name))
			if i < 0 {
				break
			}
			alone := i == 0 || rest[i-1] == ' ' || rest[i-1] == '"' || rest[i-1] == '{' || rest[i-1] == ','
			rest = rest[i+len(name):]
			if !alone {
				continue
			}
			if l, ok := fieldValue(rest); ok {
				return l, true
			}
		}
	}
	return 0, false
}

// fieldValue reads what follows a field's name: "=warn", `":"warn"`, `": 40`.
func fieldValue(b []byte) (platform.LogLevel, bool) {
	b = bytes.TrimPrefix(b, []byte{'"'})
	b = bytes.TrimLeft(b, " ")
	if len(b) == 0 || b[0] != '=' && b[0] != ':' {
		return 0, false
	}
	b = bytes.TrimLeft(b[1:], ` "`)
	if len(b) >= 2 && b[1] == '0' && '1' <= b[0] && b[0] <= '6' && (len(b) == 2 || !isWord(b[2])) {
		return [...]platform.LogLevel{platform.LogDebug, platform.LogDebug, platform.LogInfo, platform.LogWarn, platform.LogError, platform.LogFatal}[b[0]-'1'], true
	}
	return lookLevel(word(b))
}

// wordLevel looks at the first words: those that a time stamp leaves room for.
func wordLevel(text []byte) (platform.LogLevel, bool) {
	if l, ok := klogLevel(text); ok {
		return l, true
	}
	for n := 0; n < firstWords; {
		for len(text) > 0 && !isWord(text[0]) {
			text = text[1:]
		}
		w := word(text)
		if len(w) == 0 {
			return 0, false
		}
		rest := text[len(w):]
		if shouts(w) || len(rest) > 0 && (rest[0] == ':' || rest[0] == ']') {
			if l, ok := lookLevel(w); ok {
				return l, true
			}
		}
		text = rest
		if w[0] > '9' { // numbers are a time's
			n++
		}
	}
	return 0, false
}

// klogLevel reads "E0102 15:04:05.000000".
func klogLevel(b []byte) (platform.LogLevel, bool) {
	if len(b) < 6 || b[5] != ' ' {
		return 0, false
	}
	for _, c := range b[1:5] {
		if c < '0' || c > '9' {
			return 0, false
		}
	}
	i := bytes.IndexByte([]byte("DIWEF"), b[0])
	return platform.LogLevel(max(i, 0)), i >= 0
}

// shouts: a level in capital letters is one; "error" in the middle of a sentence may be none.
func shouts(w []byte) bool {
	for _, c := range w {
		if c < 'A' || c > 'Z' {
			return false
		}
	}
	return len(w) > 2
}

func word(b []byte) []byte {
	n := 0
	for n < len(b) && isWord(b[n]) {
		n++
	}
	return b[:n]
}

func isWord(c byte) bool {
	return 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || c == '_'
}

func lookLevel(w []byte) (platform.LogLevel, bool) {
	if len(w) == 0 || len(w) > levelWord {
		return 0, false
	}
	var small [levelWord]byte
	for i, c := range w {
		small[i] = lower(c)
	}
	l, ok := levelWords[string(small[:len(w)])]
	return l, ok
}

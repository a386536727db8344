package verbs

import (
	"regexp"
	"slices"
	"strings"

	"paas/platform"
)

// line is a call as the audit shows it: what was typed, in the order of help, without secrets.
func (v Verb) line(args arguments) string {
	words := []string{v.Name}
	values, _ := args.assign(v.params)
	for i, p := range v.params {
		if p.flag {
			continue
		}
		for _, word := range values[i] {
			words = append(words, v.mask(p, word))
		}
	}
	for _, p := range v.params {
		if !p.flag {
			continue
		}
		for _, word := range args.flags[p.name] {
			words = append(words, "--"+p.name)
			if !p.isBool {
				words = append(words, v.mask(p, word))
			}
		}
	}
	return strings.Join(words, " ")
}

const masked = "***"

// secretName is how arguments and keys are called whose values nobody shall read in an audit.
var secretName = regexp.MustCompile(`(?i)pass|secret|token|credential|private|hmac|eab|auth|(^|[-_])(key|pw|dsn|pat)([-_=]|$)`)

// mask hides what is secret in a word: all of it, the value of a pair, or the user and query of a URL.
func (v Verb) mask(p param, word string) string {
	pairs := strings.Contains(p.name, "=") || strings.EqualFold(p.name, "key") // a public key, or the name of a config var
	if p.secret || !pairs && secretName.MatchString(p.name) {
		return masked
	}
	topic, _, _ := strings.Cut(v.Name, ":")
	if p.name == "command" {
		parts := strings.Split(word, " ")
		for i, part := range parts {
			parts[i] = maskWord(part, false)
		}
		return strings.Join(parts, " ")
	}
	return maskWord(word, topic == "config" || p.name == "env" || p.short == "e")
}

func maskWord(word string, always bool) string {
	key, value, pair := strings.Cut(word, "=")
	if pair && value != "" && !strings.Contains(key, "://") && (always || secretName.MatchString(key)) {
		return key + "=" + masked
	}
	return platform.MaskURLs(word)
}

// assign gives each parameter its words, and what is left of the positional ones.
func (a arguments) assign(params []param) (values [][]string, rest []string) {
	rest = slices.Clone(a.positional)
	values = make([][]string, len(params))
	for i, p := range params {
		list := a.flags[p.name]
		switch {
		case p.flag && len(list) == 0 && p.fallback != "":
			list = []string{p.fallback}
		case p.flag || len(list) > 0:
		case p.rest:
			list, rest = rest, nil
		case len(rest) > 0:
			list, rest = rest[:1], rest[1:]
		}
		values[i] = list
	}
	return values, rest
}

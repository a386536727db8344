package verbs

import (
	"slices"
	"strings"

	"paas/platform"
)

// unknown lists the topic's verbs if the word is a topic, else tells what the word is elsewhere, or which verb
// was meant. Nothing is ever run by a guess.
func (t *Table) unknown(s Session, word string) (int, error) {
	if topic := strings.TrimSuffix(word, ":help"); t.isTopic(topic) {
		return 0, t.helpTopic(s, topic)
	}
	if here, ok := habit(word); ok {
		return 0, platform.Errorf(platform.Unknown, "There is no command `%s` here", word).WithHint("%s", here)
	}
	e := platform.Errorf(platform.Unknown, "Unknown command `%s`", word)
	if meant := t.meant(word); meant != "" {
		e.Message += ". Did you mean `" + meant + "`?"
		return 0, e.WithHint("see how: ssh paas help %s", meant)
	}
	if topic, _, ok := strings.Cut(word, ":"); ok && t.isTopic(topic) {
		return 0, e.WithHint("see what %s has: ssh paas help %s", topic, topic)
	}
	return 0, e.WithHint("see all of them: ssh paas help")
}

// synonyms are other words for a verb's last part, the more usual ones first.
var synonyms = map[string][]string{
	"delete": {"destroy", "remove", "unset", "clear"}, "del": {"remove", "destroy"}, "rm": {"remove", "destroy", "unmount"},
	"new": {"create", "add"}, "make": {"create"}, "ls": {"list"}, "all": {"list"}, "show": {"info", "report", "list"},
	"view": {"info", "report", "show"}, "enable": {"on"}, "disable": {"off"}, "edit": {"set"}, "update": {"set", "add"},
	"get": {"show", "info", "report"}, "add": {"create"}, "put": {"set"}, "mv": {"rename"}, "tail": {"output"},
}

// meant is the verb's name that the word is nearest to, "" for none. Within a topic that is there, only its
// verbs come into question, and words that mean the same.
func (t *Table) meant(word string) string {
	topic, verb, both := strings.Cut(word, ":")
	if !both {
		return t.nearest(word, t.names())
	}
	if t.isTopic(topic) {
		for _, other := range synonyms[verb] {
			if v, ok := t.find(topic + ":" + other); ok {
				return v.Name
			}
		}
	}
	return t.nearest(word, t.names())
}

// names are all verbs' names and aliases, and topics.
func (t *Table) names() []string {
	var list []string
	for _, v := range t.verbs {
		if v.hidden {
			continue
		}
		list = append(append(list, v.Name), v.Aliases...)
	}
	return list
}

// nearest is the candidate with the smallest distance of at most 2. A verb without its topic, or the two the
// wrong way round, is near as well.
func (t *Table) nearest(word string, candidates []string) string {
	best, least := "", 3
	for _, c := range candidates {
		if d := apart(word, c); d < least {
			best, least = c, d
		}
	}
	return best
}

func apart(word, name string) int {
	if platform.Near(word, name) {
		return platform.Distance(word, name)
	}
	topic, verb, both := strings.Cut(name, ":")
	if first, second, ok := strings.Cut(word, ":"); both && ok && second == topic && first == verb {
		return 1
	}
	if both && (word == verb || word == topic+verb || word == topic+"-"+verb || word == topic+"."+verb) {
		return 2
	}
	return 3
}

// spaced finds the verb in words that are written apart: `apps create blog`.
func (t *Table) spaced(v Verb, words []string) string {
	if len(words) == 0 {
		return ""
	}
	topic, _, _ := strings.Cut(v.Name, ":")
	for _, name := range []string{topic, strings.TrimSuffix(topic, "s") + "s"} {
		if other, ok := t.find(name + ":" + words[0]); ok && other.Name != v.Name {
			return other.Name
		}
	}
	return ""
}

// unknownFlag says which flag was meant.
func (v Verb) unknownFlag(name string) error {
	e := platform.Errorf(platform.Usage, "Unknown flag `%s` of %s", name, v.Name)
	if v.hasOwn("confirm") && slices.Contains([]string{"--force", "-f", "--yes", "-y"}, name) {
		return e.WithHint("what is lost must be named: --confirm NAME")
	}
	best, least := "", 3
	for _, p := range slices.Concat(v.params, v.commonFlags()) {
		if p.flag && platform.Near(name, "--"+p.name) && platform.Distance(name, "--"+p.name) < least {
			best, least = "--"+p.name, platform.Distance(name, "--"+p.name)
		}
	}
	if best != "" {
		e.Message += ". Did you mean `" + best + "`?"
	}
	return e.WithHint("%s", v.usage())
}

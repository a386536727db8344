package gitreceive

import (
	"strings"

	"paas/gitreceive/pack"
	"paas/platform"
)

// line is the push as the audit shows it.
func (p *push) line() string {
	words := []string{"git push"}
	for _, c := range p.req.commands {
		words = append(words, c.Name.Short())
	}
	return strings.Join(words, " ")
}

// audit ends the push's entry with what moved, and what it failed of.
func (p *push) audit(entry *platform.Entry) {
	for _, v := range p.all {
		switch {
		case v.taken():
			entry.Changed(v.Name.Short(), shortID(v.Old), shortID(v.New))
		case p.came == nil && v.told != nil:
			p.came = v.told
		case p.came == nil:
			p.came = platform.Errorf(platform.Failed, "%s: %s", v.Name.Short(), v.refused)
		}
	}
	entry.End(p.came)
}

// shortID is an object as people read it, "" for none.
func shortID(id pack.ID) string {
	if id.IsZero() {
		return ""
	}
	return id.String()[:8]
}

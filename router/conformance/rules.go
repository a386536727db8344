package conformance

import (
	"slices"
	"strings"
)

// Rule is what RFC 9110 or 9112 demands (MUST, MUST NOT, or the grammar that a sender must keep to) of a reverse
// proxy in some of the cases, and nothing beyond: what is a SHOULD, a limit or a setting is no rule, and where the
// text leaves a choice, every choice is right. So other people's proxies can be measured with it.
type Rule struct {
	Section string
	Must    string // in our words
	Cases   []string
	Or      []Choice // beside what the case itself wants
	Closes  bool     // the connection of a refused request must end
}

// Choice is another outcome that the rule leaves open.
type Choice func(Case) Case

// ruled is a case with all its outcomes that are right.
type ruled struct {
	Case
	rule     *Rule
	outcomes []Case
}

// apply finds the rules' cases.
func apply(rules []Rule, cases []Case) (list []ruled) {
	for i := range rules {
		r := &rules[i]
		for _, name := range r.Cases {
			at := slices.IndexFunc(cases, func(c Case) bool { return c.Name == name })
			if at < 0 {
				panic("a rule for a case that there is not: " + name)
			}
			c := ruled{Case: cases[at], rule: r, outcomes: []Case{cases[at]}}
			for _, choice := range r.Or {
				c.outcomes = append(c.outcomes, choice(cases[at]))
			}
			for k := range c.outcomes { // nothing in the RFCs keeps a connection
				c.outcomes[k].MayEnd = true
			}
			list = append(list, c)
		}
	}
	return list
}

// refusals are the statuses by which a request is rejected where no particular one is demanded.
const refusals = "400|403|404|405|408|411|413|414|417|421|422|426|431|500|501|502|503|504|505"

// rejected is any answer that rejects the request, and dropped none at all. The origin sees nothing whole.
func rejected(c Case) Case { return outcome(c, refusals, "") }
func dropped(c Case) Case  { return outcome(c, "-", "") }

// failed is any answer that says that the origin failed.
func failed(c Case) Case {
	c.Want, c.Broken, c.Content, c.Gets, c.Misses = "500|502|503|504", false, "", nil, nil
	return c
}

func outcome(c Case, want, seen string) Case {
	c.Want, c.Seen, c.Ends, c.Broken = want, seen, false, false
	c.Has, c.Lacks, c.Body, c.Gets, c.Misses, c.Content = nil, nil, "", nil, nil, ""
	return c
}

// forwarded is the request of the case in the origin's hands, with these lines and without these names.
func forwarded(seen string, has ...string) Choice {
	return func(c Case) Case {
		c = outcome(c, "200", seen)
		c.Has, c.Partial = has, false
		return c
	}
}

// ending is a choice after which the connection ends.
func ending(next Choice) Choice {
	return func(c Case) Case { c = next(c); c.Ends = true; return c }
}

// without is the case's request, forwarded without some fields.
func without(names ...string) Choice {
	return func(c Case) Case { c = outcome(c, "200", got); c.Lacks = names; return c }
}

// withBody is a request with a body of which nothing is left for another.
func withBody(body string) Choice {
	return func(c Case) Case { c = outcome(c, "200", put); c.Body, c.Partial = body, false; return c }
}

// thenSmuggled is a request that ends before what smuggling cases have behind it, so that this is the next one.
func thenSmuggled(body string, has ...string) Choice {
	return func(c Case) Case {
		c = outcome(c, "200 200", put+"\nGET /smuggled HTTP/1.1")
		c.Body, c.Has = body, has
		return c
	}
}

// either is the case with other statuses for its client.
func either(want string) Choice { return func(c Case) Case { c.Want = want; return c } }

// plainly is the case without its demands on particular fields.
func plainly(c Case) Case { c.Has, c.Lacks, c.Gets, c.Misses = nil, nil, nil, nil; return c }

// both is one choice on the other.
func both(first, then Choice) Choice { return func(c Case) Case { return then(first(c)) } }

// severed is a connection that ends without a byte of an answer.
func severed(c Case) Case {
	c = failed(c)
	c.Want, c.Ends = "-", true
	return c
}

// older is the request under the client's version.
func older(c Case) Case { c.Seen = strings.Replace(c.Seen, "HTTP/1.1", "HTTP/1.0", 1); return c }

// halting is an answer that visibly breaks off, whatever of it came before.
func halting(c Case) Case { c.Content = ""; return c }

// under is the names with their group before them.
func under(group, names string) (list []string) {
	for name := range strings.SplitSeq(names, "; ") {
		list = append(list, group+name)
	}
	return list
}

package logbook

import (
	"regexp/syntax"
	"strings"
)

// needle is a text that every match of an expression has in it, and that makes most blocks and lines superfluous to look at
// more closely.
type needle struct {
	text   string // in small letters if it is folded; "" if there is none
	folded bool
	hashes []uint32 // of its trigrams
}

// needleOf finds the longest one.
func needleOf(expression string) needle {
	re, err := syntax.Parse(expression, syntax.Perl)
	if err != nil {
		return needle{}
	}
	n := longest(re.Simplify())
	trigrams(n.text, func(h uint32) { n.hashes = append(n.hashes, h) })
	return n
}

func longest(re *syntax.Regexp) needle {
	switch re.Op {
	case syntax.OpLiteral:
		return literal(re)
	case syntax.OpCapture, syntax.OpPlus:
		return longest(re.Sub[0])
	case syntax.OpRepeat:
		if re.Min > 0 {
			return longest(re.Sub[0])
		}
	case syntax.OpConcat:
		var best needle
		for _, sub := range re.Sub {
			if n := longest(sub); len(n.text) > len(best.text) {
				best = n
			}
		}
		return best
	}
	return needle{}
}

// literal: with (?i) a k may be the sign for kelvin, and an s a long one (Unicode's simple folds), so it is cut there.
func literal(re *syntax.Regexp) needle {
	text := string(re.Rune)
	if re.Flags&syntax.FoldCase == 0 {
		return needle{text: text}
	}
	best := ""
	for part := range strings.FieldsFuncSeq(strings.ToLower(text), func(r rune) bool { return r == 'k' || r == 's' || r > 127 }) {
		if len(part) > len(best) {
			best = part
		}
	}
	return needle{text: best, folded: true}
}

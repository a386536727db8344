package edge

import (
	"paas/platform"
	"paas/router/wire"
)

// lead finds the app or process that a path belongs to; the longest prefix is the first that fits.
func (r *Rules) lead(req *wire.Request, v *Verdict) bool {
	for i := range r.paths {
		rule := &r.paths[i]
		if !below(req.Target, rule.Prefix) {
			continue
		}
		v.App, v.Pool = rule.App, platform.Pool(rule.Process)
		if rule.Strip && rule.Prefix != "/" {
			v.Prefix = req.Target[:len(rule.Prefix)]
			v.Target = stripped(req.Target[len(rule.Prefix):])
		}
		return true
	}
	return false
}

// below tells whether a target is the prefix, or within it: "/apis" is not below "/api".
func below(target []byte, prefix string) bool {
	if len(target) < len(prefix) || string(target[:len(prefix)]) != prefix {
		return false
	}
	return len(target) == len(prefix) || prefix == "/" || target[len(prefix)] == '/' || target[len(prefix)] == '?'
}

// stripped makes a target of what is left of one.
func stripped(rest []byte) []byte {
	if len(rest) > 0 && rest[0] == '/' {
		return rest
	}
	return append([]byte{'/'}, rest...)
}

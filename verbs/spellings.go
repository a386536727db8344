package verbs

import "slices"

// spellings are what Dokku or Heroku call a verb that is declared elsewhere and takes the same words.
func spellings() map[string][]string {
	return map[string][]string{
		"apps:create": {"create"}, "apps:destroy": {"destroy", "apps:delete"}, "apps:info": {"info"}, "apps:rename": {"rename"},
		"ps:scale": {"scale", "dyno:scale"}, "ps:restart": {"restart", "dyno:restart"}, "ps:stop": {"stop", "dyno:stop"},
		"keys:add": {"ssh-keys:add"}, "keys:list": {"ssh-keys:list"}, "keys:remove": {"ssh-keys:remove"},
		"rollback": {"releases:rollback"}, "events": {"events:list"}, "exec": {"ps:exec"}, "stacks:use": {"stack", "stack:set"},
		"certs:report": {"letsencrypt:list", "letsencrypt:active", "certs:auto"}, "certs:revoke": {"letsencrypt:revoke"},
		"builds:output": {"releases:output"}, "tokens:create": {"authorizations:create"}, "git:report": {"git:status"},
		"ps:report": {"scheduler:report", "ps:inspect"}, "resource:report": {"ps:type"}, "registry:list": {"registry:report"},
		"logs:drain:list": {"drains"}, "logs:drain:add": {"drains:add"}, "logs:drain:remove": {"drains:remove"},
		"ports:list": {"proxy:ports"}, "ports:add": {"proxy:ports-add"}, "ports:set": {"proxy:ports-set"}, "ports:remove": {"proxy:ports-remove"},
		"ports:clear": {"proxy:ports-clear"},
		"certs:set":   {"letsencrypt:set"}, "domains:clear": {"domains:reset", "domains:disable"},
	}
}

// respelled adds them to the verbs that are there, unless a verb is called so.
func respelled(list []Verb) []Verb {
	taken := map[string]bool{}
	for _, v := range list {
		for _, name := range append([]string{v.Name}, v.Aliases...) {
			taken[name] = true
		}
	}
	more := spellings()
	for i, v := range list {
		for _, name := range more[v.Name] {
			if !taken[name] {
				taken[name] = true
				list[i].Aliases = append(slices.Clone(list[i].Aliases), name)
			}
		}
	}
	return list
}

package verbs

import "paas/platform"

// people is every verb about who comes in and what they may do.
func people() []Verb {
	type p = platform.Platform
	return []Verb{
		define(Verb{Name: "users:add", Summary: "Make a user, who comes in when a key is added",
			Example: "users:add alice --creates-apps", Another: "users:add ops --admin"}, (*p).AddPerson),
		define(Verb{Name: "users:list", Aliases: []string{"users"}, Reads: true, Summary: "List users, their keys, tokens and roles",
			Example: "users:list", Another: "users:list --json"}, (*p).ListPeople),
		define(Verb{Name: "users:info", Access: Anyone, Reads: true, Summary: "Show a user, with keys, tokens and roles",
			Example: "users:info alice", Another: "users:info alice --json"}, (*p).InfoOfPerson),
		define(Verb{Name: "users:set", Summary: "Make a user an admin, or let them make apps",
			Example: "users:set alice creates-apps=on", Another: "users:set alice admin=off"}, (*p).SetPerson),
		define(Verb{Name: "users:remove", Aliases: []string{"users:destroy"}, Summary: "Remove a user with keys, tokens and roles",
			Example: "users:remove alice --confirm alice", Another: "users:remove ci --confirm ci"}, (*p).RemovePerson),

		define(Verb{Name: "access:add", Aliases: []string{"access:update"}, Access: Manage, Summary: "Give a user a role on an app",
			Example: "access:add blog alice deploy", Another: "access:add -a blog bob view"}, (*p).AddAccess),
		define(Verb{Name: "access:remove", Access: Manage, Summary: "Take a user's role on an app away",
			Example: "access:remove blog alice", Another: "access:remove -a blog bob"}, (*p).RemoveAccess),
		define(Verb{Name: "access:list", Aliases: []string{"access", "access:report"}, Access: View, Lists: true, Summary: "Show who may do what with an app, or with all",
			Example: "access:list blog", Another: "access:list --json"}, (*p).ListAccess),
		define(Verb{Name: "whoami", Aliases: []string{"auth:whoami"}, Access: Anyone, Reads: true, Summary: "Show who you are here, and what you may do",
			Example: "whoami", Another: "whoami --json"}, (*p).WhoAmI),

		define(Verb{Name: "keys:add", Aliases: []string{"ssh-keys:add"}, Access: Anyone, Summary: "Let an SSH key in, as a user",
			Example: "keys:add alice < alice.pub", Another: "keys:add --name laptop < id_ed25519.pub"}, (*p).AddKey),
		define(Verb{Name: "keys:list", Aliases: []string{"keys", "ssh-keys:list"}, Access: Anyone, Reads: true, Summary: "List SSH keys: an admin sees all, others theirs",
			Example: "keys:list", Another: "keys:list alice --json"}, (*p).ListKeys),
		define(Verb{Name: "keys:remove", Aliases: []string{"ssh-keys:remove"}, Access: Anyone, Summary: "Shut an SSH key out, and end what it has open",
			Example: "keys:remove alice", Another: "keys:remove --fingerprint SHA256:4DVJ8uLUIy…"}, (*p).RemoveKey),

		define(Verb{Name: "tokens:create", Aliases: []string{"tokens:add"}, Access: Anyone, Summary: "Make an API token, for programs and docker login",
			Example: "tokens:create ci --scope apps:deploy --app blog --expires 90d", Another: "tokens:create look --scope apps:read,logs:read"}, (*p).CreateToken),
		define(Verb{Name: "tokens:list", Aliases: []string{"tokens"}, Access: Anyone, Reads: true, Summary: "List API tokens: an admin sees all, others theirs",
			Example: "tokens:list", Another: "tokens:list --json"}, (*p).ListTokens),
		define(Verb{Name: "tokens:revoke", Aliases: []string{"tokens:remove"}, Access: Anyone, Summary: "End an API token at once",
			Example: "tokens:revoke ci", Another: "tokens:revoke ci --user alice"}, (*p).RevokeToken),
	}
}

// shows are the verbs declared elsewhere that only show something, though their level does not say so. What is not
// among them, has no Reads, and is not of the level View leaves an entry in the audit.
func shows() []string {
	return []string{
		"apps:list", "events", "stacks:list", "stacks:export", "images:pulled", "images:list", "images:tree", "images:explore",
		"disk", "doctor", "registry:list", "certs:ca", "help", "version", "network:list", "run:list", "storage:info",
		"requests", "completion", "__complete", "git:auth-status", "git:public-key",
	}
}

// lists are the verbs declared elsewhere that show, without an app, what concerns all that the caller sees.
func lists() []string {
	return []string{
		"builds:list", "builds:report", "builder:report", "buildpacks:report", "certs:report", "domains:report", "ports:report",
		"ps:report", "router:report",
	}
}

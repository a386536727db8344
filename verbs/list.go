package verbs

import "paas/platform"

// declared is every verb that works on the platform, in the order of help.
func declared() []Verb {
	type p = platform.Platform
	return []Verb{
		define(Verb{Name: "apps:create", Summary: "Create an app (a push by an admin does it too)",
			Example: "apps:create blog"}, (*p).Create),
		define(Verb{Name: "apps:list", Aliases: []string{"apps"}, Access: Member, Summary: "List apps",
			Example: "apps:list --json"}, (*p).List),
		define(Verb{Name: "apps:info", Access: Member, Summary: "Show an app",
			Example: "apps:info blog"}, (*p).Info),
		define(Verb{Name: "apps:destroy", Summary: "Destroy an app with everything kept for it",
			Example: "apps:destroy blog --confirm blog"}, (*p).Destroy),

		define(Verb{Name: "ps", Access: Member, Summary: "Show an app's processes",
			Example: "ps blog"}, (*p).Processes),
		define(Verb{Name: "ps:scale", Aliases: []string{"apps:scale"}, Access: Member, Summary: "Change how many instances run",
			Example: "ps:scale blog web=3 worker=1"}, (*p).Scale),
		define(Verb{Name: "ps:restart", Access: Member, Summary: "Replace every instance, without dropping a request",
			Example: "ps:restart blog"}, (*p).Restart),
		define(Verb{Name: "ps:stop", Access: Member, Summary: "Stop an app",
			Example: "ps:stop blog"}, (*p).Stop),
		define(Verb{Name: "ps:start", Access: Member, Summary: "Start a stopped app",
			Example: "ps:start blog"}, (*p).Start),

		define(Verb{Name: "config:show", Aliases: []string{"config"}, Access: Member, Summary: "List config vars, values masked",
			Example: "config:show blog --reveal"}, (*p).ShowConfig),
		define(Verb{Name: "config:get", Access: Member, Summary: "Print one config var's value",
			Example: "config:get blog DATABASE_URL"}, (*p).GetConfig),
		define(Verb{Name: "config:set", Access: Member, Summary: "Set config vars and release",
			Example: "config:set blog COLOR=blue SIZE=3"}, (*p).SetConfig),
		define(Verb{Name: "config:unset", Access: Member, Summary: "Remove config vars and release",
			Example: "config:unset blog COLOR"}, (*p).UnsetConfig),

		define(Verb{Name: "domains:add", Access: Member, Summary: "Let an app answer to more hostnames",
			Example: "domains:add blog www.example.com"}, (*p).AddDomain),
		define(Verb{Name: "domains:remove", Access: Member, Summary: "Take hostnames away from an app",
			Example: "domains:remove blog www.example.com"}, (*p).RemoveDomain),
		define(Verb{Name: "domains:report", Aliases: []string{"domains"}, Access: Member, Summary: "Show an app's hostnames",
			Example: "domains:report blog"}, (*p).Domains),

		define(Verb{Name: "links:add", Access: Member, Summary: "Let an app's instances reach another app's",
			Example: "links:add shop payments --type web"}, (*p).AddLink),
		define(Verb{Name: "links:remove", Access: Member, Summary: "Close the way to another app again",
			Example: "links:remove shop payments --type web"}, (*p).RemoveLink),
		define(Verb{Name: "links:list", Aliases: []string{"links"}, Access: Member, Summary: "Show whom an app reaches and who reaches it",
			Example: "links:list shop"}, (*p).Links),
		define(Verb{Name: "network:egress", Summary: "Show or change what of the internet an app may reach",
			Example: "network:egress shop allow 203.0.113.0/24:443 api.example.com"}, (*p).Egress),

		define(Verb{Name: "logs", Access: Member, Summary: "Print an app's log",
			Example: "logs blog -n 50 -f -p web"}, (*p).Logs),

		define(Verb{Name: "releases", Access: Member, Summary: "List an app's releases",
			Example: "releases blog"}, (*p).History),
		define(Verb{Name: "rollback", Access: Member, Summary: "Release an earlier release's code and config again",
			Example: "rollback blog v12"}, (*p).Rollback),

		define(Verb{Name: "run", Access: Member, Summary: "Run a command in a container of the current release",
			Example: "run blog ls -la"}, (*p).Run),

		define(Verb{Name: "images:list", Aliases: []string{"images"}, Summary: "List images, their releases and what they take",
			Example: "images:list blog"}, (*p).ListImages),
		define(Verb{Name: "images:tree", Summary: "Show the layers of a release's image",
			Example: "images:tree blog v12"}, (*p).TreeOfImage),
		define(Verb{Name: "images:du", Summary: "Show what takes the disk, and what can be freed",
			Example: "images:du --json"}, (*p).DiskUsage),
		define(Verb{Name: "images:prune", Summary: "Remove layers that no release needs",
			Example: "images:prune --all --dry-run"}, (*p).Prune),
		define(Verb{Name: "images:explore", Summary: "Show what each layer adds, changes, removes and wastes",
			Example: "images:explore blog v12 /app"}, (*p).ExploreImage),

		define(Verb{Name: "keys:add", Summary: "Let an SSH key in",
			Example: "keys:add alice < alice.pub"}, (*p).AddKey),
		define(Verb{Name: "keys:list", Aliases: []string{"keys"}, Summary: "List SSH keys",
			Example: "keys:list"}, (*p).ListKeys),
		define(Verb{Name: "keys:remove", Summary: "Shut an SSH key out",
			Example: "keys:remove alice"}, (*p).RemoveKey),
	}
}

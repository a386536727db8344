package verbs

import "paas/platform"

// line is every verb about config vars, about code that is fetched, and what people type who come from elsewhere.
func line() []Verb {
	type p = platform.Platform
	return []Verb{
		define(Verb{Name: "config:show", Aliases: []string{"config"}, Access: View, Summary: "List config vars, values masked",
			Example: "config:show blog", Another: "config:show blog --reveal --merged"}, (*p).ShowConfig),
		define(Verb{Name: "config:get", Access: Operate, Summary: "Print one config var's value",
			Example: "config:get blog DATABASE_URL", Another: "config:get blog SENTRY_DSN --merged"}, (*p).GetConfig),
		define(Verb{Name: "config:set", Aliases: []string{"config:add"}, Access: Operate, Summary: "Set config vars and release",
			Example: "config:set blog COLOR=blue SIZE=3", Another: "config:set blog API_TOKEN < token.txt"}, (*p).SetConfig),
		define(Verb{Name: "config:unset", Aliases: []string{"config:remove"}, Access: Operate, Summary: "Remove config vars and release",
			Example: "config:unset blog COLOR", Another: "config:unset --global SENTRY_DSN"}, (*p).UnsetConfig),
		define(Verb{Name: "config:keys", Access: View, Summary: "List the names of config vars",
			Example: "config:keys blog", Another: "config:keys blog --merged"}, (*p).ListKeysOfConfig),
		define(Verb{Name: "config:export", Access: Operate, Summary: "Print config vars for a shell or another program",
			Example: "config:export blog --format dotenv > .env", Another: `config:export --global --format json`}, (*p).ExportConfig),
		define(Verb{Name: "config:import", Access: Operate, Summary: "Set config vars from a .env file or JSON on stdin",
			Example: "config:import blog < .env", Another: "config:import blog --replace --dry-run < .env"}, (*p).ImportConfig),
		define(Verb{Name: "config:bundle", Archive: true, Access: Operate, Summary: "Write config vars as a tar archive of files",
			Example: "config:bundle blog > config.tar", Another: "config:bundle blog --merged > config.tar"}, (*p).BundleConfig),
		define(Verb{Name: "config:clear", Access: Manage, Summary: "Remove all config vars; kept for 7 days",
			Example: "config:clear blog --dry-run", Another: "config:clear blog --confirm blog"}, (*p).ClearConfig),
		define(Verb{Name: "config:restore", Access: Manage, Summary: "Bring back config vars that were cleared",
			Example: "config:restore blog", Another: "config:restore --global --dry-run"}, (*p).RestoreConfig),

		define(Verb{Name: "git:sync", Access: Deploy, Summary: "Fetch an app's code from another git server",
			Example: "git:sync blog https://git.example.org/acme/blog.git main --build", Another: "git:sync blog git@example.org:blog.git --build-if-changes"}, (*p).SyncGit),
		define(Verb{Name: "git:auth", Summary: "Store or remove a login to a git server, password on stdin",
			Example: "git:auth git.example.org deploy < password", Another: "git:auth git.example.org"}, (*p).AuthGit),
		define(Verb{Name: "git:auth-status", Aliases: []string{"git:hosts"}, Summary: "List git servers with a login or a known host key",
			Example: "git:auth-status", Another: "git:auth-status git.example.org --json"}, (*p).GitHosts),
		define(Verb{Name: "git:allow-host", Summary: "Trust the SSH host key that a git server has now",
			Example: "git:allow-host git.example.org", Another: "git:allow-host git.example.org:2222"}, (*p).AllowGitHost),
		define(Verb{Name: "git:public-key", Aliases: []string{"git:generate-deploy-key"}, Summary: "Print the key that code is fetched with over SSH",
			Example: "git:public-key", Another: "git:generate-deploy-key --json"}, (*p).DeployKey),

		define(Verb{Name: "open", Aliases: []string{"url", "apps:open"}, Access: View, Summary: "Print an app's address",
			Example: "open blog", Another: "url blog --json"}, (*p).Open),
		define(Verb{Name: "urls", Access: View, Summary: "Print all of an app's addresses",
			Example: "urls blog", Another: "urls blog --json"}, (*p).URLs),
		define(Verb{Name: "report", Access: View, Summary: "Show all that is known of an app, or of the platform",
			Example: "report blog", Another: "report blog --json"}, (*p).ReportWhole),
	}
}

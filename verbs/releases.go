package verbs

import "paas/platform"

// releases are the verbs about an app's releases. Canaries are among edges.
func releases() []Verb {
	type p = platform.Platform
	return []Verb{
		define(Verb{Name: "releases", Aliases: []string{"releases:list"}, Access: View, Summary: "List an app's releases, newest first",
			Example: "releases blog", Another: "releases blog -n 5 --json"}, (*p).ListReleases),
		define(Verb{Name: "releases:info", Access: View, Summary: "Show all that a release holds, config values masked",
			Example: "releases:info blog v12", Another: "releases:info blog --json"}, (*p).ReleaseInfo),
		define(Verb{Name: "releases:diff", Access: View, Summary: "Show what changed from one release to another",
			Example: "releases:diff blog v11 v12", Another: "releases:diff blog v11"}, (*p).DiffReleases),
		define(Verb{Name: "releases:set", Access: Manage, Summary: "Set how much of old releases is kept",
			Example: "releases:set blog keep-previous 30m", Another: "releases:set blog retention 20"}, (*p).SetReleases),
		define(Verb{Name: "releases:report", Access: View, Summary: "Show how much of old releases is kept",
			Example: "releases:report blog", Another: "releases:report blog --json"}, (*p).ReportReleases),
		define(Verb{Name: "rollback", Aliases: []string{"releases:rollback"}, Access: Deploy, Summary: "Release what an earlier release held again: code, config, all",
			Example: "rollback blog", Another: "rollback blog v12"}, (*p).Rollback),
	}
}

package verbs

import "paas/platform"

// checks is every verb about how processes are looked at before and while they get requests. All are Dokku's.
func checks() []Verb {
	type p = platform.Platform
	return []Verb{
		define(Verb{Name: "checks:report", Aliases: []string{"checks"}, Access: View, Summary: "Show how processes are checked, and which checks failed",
			Example: "checks:report blog", Another: "checks:report --json"}, (*p).ReportChecks),
		define(Verb{Name: "checks:run", Access: Deploy, Summary: "Make the checks of running processes now; status 7: one failed",
			Example: "checks:run blog", Another: "checks:run blog web.1"}, (*p).RunChecks),
		define(Verb{Name: "checks:set", Access: Operate, Summary: "Set how often and how long checks are tried",
			Example: "checks:set blog wait=2 attempts=10 -p web", Another: "checks:set blog wait-to-retire 60"}, (*p).SetChecks),
		define(Verb{Name: "checks:enable", Access: Operate, Summary: "Check processes before they get requests, as is usual",
			Example: "checks:enable blog", Another: "checks:enable blog web,worker"}, (*p).EnableChecks),
		define(Verb{Name: "checks:skip", Access: Operate, Summary: "Take every started process for healthy",
			Example: "checks:skip blog worker", Another: "checks:skip blog"}, (*p).SkipChecks),
		define(Verb{Name: "checks:disable", Access: Operate, Summary: "Check nothing, and stop old processes before new ones start",
			Example: "checks:disable blog worker", Another: "checks:disable blog"}, (*p).DisableChecks),
	}
}

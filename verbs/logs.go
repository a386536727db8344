package verbs

import "paas/platform"

// logs is every verb about what apps write.
func logs() []Verb {
	type p = platform.Platform
	return []Verb{
		define(Verb{Name: "logs", Aliases: []string{"logs:tail"}, Access: View, Watch: true, Summary: "Print an app's log",
			Example: "logs blog -n 50 -f -p web", Another: "logs blog --since 1h --level error -g 'time ?out'"}, (*p).Logs),
		define(Verb{Name: "logs:failed", Access: View, Summary: "Print the log of an app's last deploy that failed",
			Example: "logs:failed blog", Another: "logs:failed --all -n 20"}, (*p).FailedLogs),
		define(Verb{Name: "logs:set", Access: Manage, Summary: "Set how much of an app's log is kept, and how it is shown",
			Example: "logs:set blog age=14d size=1g rate=1000", Another: "logs:set --global budget=50g"}, (*p).SetLogs),
		define(Verb{Name: "logs:report", Access: View, Summary: "Show what of an app's log is kept, and where it is sent",
			Example: "logs:report blog", Another: "logs:report blog --json"}, (*p).ReportLogs),
		define(Verb{Name: "logs:drain", Access: Manage, Summary: "Add, remove or list where an app's log is sent",
			Example: "logs:drain add blog https://logs.example.com/in", Another: "logs:drain list blog"}, (*p).DrainWord),
		define(Verb{Name: "logs:drain:add", Aliases: []string{"drains:add", "logs:drains:add"}, Access: Manage, Summary: "Send an app's log to an HTTPS, Loki or syslog receiver",
			Example: "logs:drain:add blog https://logs.example.com/in", Another: "logs:drain:add blog syslog+tls://logs.example.com:6514"}, (*p).AddLogDrain),
		define(Verb{Name: "logs:drain:remove", Aliases: []string{"drains:remove", "logs:drains:remove"}, Access: Manage, Summary: "Send an app's log there no more",
			Example: "logs:drain:remove blog 1", Another: "logs:drain:remove blog https://logs.example.com/in"}, (*p).RemoveLogDrain),
		define(Verb{Name: "logs:drain:list", Aliases: []string{"drains", "drains:list", "logs:drains", "logs:drains:list"}, Access: View, Summary: "List where an app's log is sent, and how that goes",
			Example: "logs:drain:list blog", Another: "logs:drain:list blog --json"}, (*p).LogDrainsOf),
	}
}

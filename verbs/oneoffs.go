package verbs

import "paas/platform"

// oneOffs is every verb that runs commands: one-off ones, those beside an app, and jobs.
func oneOffs() []Verb {
	type p = platform.Platform
	return []Verb{
		define(Verb{Name: "run", Access: Operate, Raw: true, Summary: "Run a command in a container of the current release",
			Example: "run blog -- bin/rails console", Another: "run blog --memory 1g --timeout 30m -e DEBUG=1 -- ./import"}, (*p).Run),
		define(Verb{Name: "run:detached", Access: Operate, Summary: "Start a one-off command, print its id and leave it running",
			Example: "run:detached blog -- ./reindex", Another: "run:detached blog --timeout 2h -p worker -- ./reindex --all"}, (*p).RunDetached),
		define(Verb{Name: "run:list", Access: Operate, Summary: "List one-off commands that run",
			Example: "run:list blog", Another: "run:list blog --all --json"}, (*p).ListRuns),
		define(Verb{Name: "run:logs", Access: View, Watch: true, Summary: "Print what detached commands wrote",
			Example: "run:logs blog run.12 -f", Another: "run:logs blog -n 50"}, (*p).RunLogs),
		define(Verb{Name: "run:stop", Access: Operate, Summary: "End a one-off command: SIGTERM, and SIGKILL after 10 s",
			Example: "run:stop blog run.12", Another: "run:stop blog --all"}, (*p).StopRun),
		define(Verb{Name: "run:retire", Access: Operate, Summary: "Forget one-off commands that have ended",
			Example: "run:retire blog", Another: "run:retire -a blog --json"}, (*p).RetireRuns),
		define(Verb{Name: "run:set", Access: Manage, Summary: "Set how many one-off commands run at once, or are kept",
			Example: "run:set blog limit 5", Another: "run:set blog keep 168h"}, (*p).SetRun),
		define(Verb{Name: "run:report", Access: View, Summary: "Show what holds for one-off commands",
			Example: "run:report blog", Another: "run:report blog --json"}, (*p).ReportRun),
		define(Verb{Name: "exec", Aliases: []string{"enter", "ps:exec"}, Access: Operate, Raw: true, Summary: "Run a command beside the app in a running process",
			Example: "exec blog web.1 -- ls -la", Another: "exec blog"}, (*p).Exec),

		define(Verb{Name: "cron:list", Aliases: []string{"cron"}, Access: View, Summary: "List an app's scheduled commands: when, and how they went",
			Example: "cron:list blog", Another: "cron:list blog --json"}, (*p).ListCron),
		define(Verb{Name: "cron:run", Access: Operate, Summary: "Run a scheduled command now",
			Example: "cron:run blog 3f0c2d", Another: "cron:run blog 3f0c2d --detach"}, (*p).RunCron),
		define(Verb{Name: "cron:suspend", Access: Operate, Summary: "Hold scheduled commands back, one or all",
			Example: "cron:suspend blog 3f0c2d", Another: "cron:suspend blog"}, (*p).SuspendCron),
		define(Verb{Name: "cron:resume", Access: Operate, Summary: "Let scheduled commands run again",
			Example: "cron:resume blog 3f0c2d", Another: "cron:resume blog"}, (*p).ResumeCron),
		define(Verb{Name: "cron:set", Access: Manage, Summary: "Set the time zone of schedules, or how late a job may be",
			Example: "cron:set blog timezone Europe/Berlin", Another: "cron:set blog catch-up 2h"}, (*p).SetCron),
		define(Verb{Name: "cron:history", Access: View, Summary: "List runs of scheduled commands: start, end, exit status",
			Example: "cron:history blog", Another: "cron:history blog 3f0c2d -n 50 --json"}, (*p).HistoryOfCron),
		define(Verb{Name: "cron:report", Access: View, Summary: "Show an app's time zone and what holds for its jobs",
			Example: "cron:report blog", Another: "cron:report blog --json"}, (*p).ReportCron),
	}
}

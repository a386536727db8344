package manifest

import (
	"fmt"
	"strings"

	"github.com/robfig/cron/v3"

	"paas/platform"
)

const maxJobs = 100

// readCron reads cron, Dokku's list of commands that run at times.
func (a *App) readCron(root object) error {
	items, err := root.list("cron")
	if err != nil {
		return err
	}
	if len(items) > maxJobs {
		return bad("cron", "%d jobs are more than %d", len(items), maxJobs).WithHint("let one job do the work of several")
	}
	times := map[string]int{}
	for _, item := range items {
		job, err := a.readJob(item)
		if err != nil {
			return err
		}
		job.ID = platform.CronID(job.Schedule, job.Command)
		if times[job.ID]++; times[job.ID] > 1 {
			job.ID += fmt.Sprintf("-%d", times[job.ID])
		}
		a.Cron = append(a.Cron, job)
	}
	return nil
}

func (a *App) readJob(o object) (job platform.CronJob, err error) {
	a.noteUnknown(o, "command", "schedule", "concurrency_policy", "suspend", "maintenance", "description")
	if job.Command, err = o.word("command", maxCommand); err != nil {
		return job, err
	}
	if strings.TrimSpace(job.Command) == "" {
		return job, bad(o.at("command"), "it is missing").WithHint(`write {"command": "./report", "schedule": "0 3 * * *"}`)
	}
	if job.Schedule, err = readSchedule(o); err != nil {
		return job, err
	}
	if job.Concurrency, err = readConcurrency(o); err != nil {
		return job, err
	}
	suspend, err := o.flag("suspend", false)
	if err != nil {
		return job, err
	}
	maintenance, err := o.flag("maintenance", false)
	job.Suspended = suspend || maintenance
	return job, err
}

const maxSchedule = 200 // bytes

// readSchedule takes what cron programs take. A time zone in it would be another than the app's.
func readSchedule(o object) (string, error) {
	text, err := o.word("schedule", maxSchedule)
	if err != nil {
		return "", err
	}
	text = strings.Join(strings.Fields(text), " ")
	if strings.Contains(text, "TZ=") {
		return "", bad(o.at("schedule"), "a time zone is not part of it").WithHint("the app's time zone is a setting of its own")
	}
	parser := cron.NewParser(cron.Minute | cron.Hour | cron.Dom | cron.Month | cron.Dow | cron.Descriptor)
	if _, err := parser.Parse(text); err != nil {
		return "", bad(o.at("schedule"), "%q is not a schedule", short([]byte(text))).
			WithHint(`write minute, hour, day of month, month and day of week: "30 4 * * *", or "@daily"`)
	}
	return text, nil
}

func readConcurrency(o object) (platform.CronConcurrency, error) {
	policy, err := o.text("concurrency_policy")
	switch p := platform.CronConcurrency(strings.ToLower(policy)); {
	case err != nil:
		return "", err
	case p == "" || p == "allow":
		return platform.CronAllow, nil
	case p == platform.CronForbid || p == platform.CronReplace:
		return p, nil
	}
	return "", bad(o.at("concurrency_policy"), "%q is not one", short([]byte(policy))).WithHint(`use "allow", "forbid" or "replace"`)
}

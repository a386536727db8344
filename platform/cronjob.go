package platform

import (
	"crypto/sha256"
	"encoding/hex"
)

// CronJob is a command that an app's app.json wants to be run at certain times (Dokku's "cron"). It is part of
// an Image, so a release's jobs are Release.Image.Cron.
type CronJob struct {
	// ID names the job as long as its command and schedule stay what they are: 12 hex digits, and "-2" and so on
	// behind them for one that is there twice.
	ID      string `json:"id"`
	Command string `json:"command"` // a command line, or the name of a process type
	// Schedule is five fields of crontab(5), or @hourly, @daily, @weekly, @monthly, @yearly, or "@every 90s".
	Schedule    string          `json:"schedule"`
	Concurrency CronConcurrency `json:"concurrency_policy,omitempty"`
	Suspended   bool            `json:"suspended,omitempty"` // app.json holds it back: "suspend" or "maintenance" is true
}

// CronConcurrency is what happens when a job is due while it still runs.
type CronConcurrency string

// The policies of Dokku. Of a CronJob that does not say it is "".
const (
	CronAllow   CronConcurrency = ""        // it runs twice
	CronForbid  CronConcurrency = "forbid"  // it does not run this time
	CronReplace CronConcurrency = "replace" // the one that runs is ended first
)

const cronIDLength = 12

// CronID is the id of a job that is there once.
func CronID(schedule, command string) string {
	sum := sha256.Sum256([]byte(schedule + "\x00" + command))
	return hex.EncodeToString(sum[:])[:cronIDLength]
}

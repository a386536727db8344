package manifest

import (
	"errors"
	"io/fs"

	"paas/platform"
)

// Declare adds to an image what the app.json in it says, and a CHECKS if that says nothing of checks of web. read gives
// a file of its working directory, and wraps fs.ErrNotExist for one that is missing. What the files ask for and do
// not get nobody is told here.
func Declare(img *platform.Image, read func(name string) ([]byte, error)) error {
	var app App
	err := parse(read, Name, func(text []byte) (err error) { app, err = Parse(text); return err })
	if err != nil {
		return err
	}
	var legacy []platform.Check
	err = parse(read, LegacyName, func(text []byte) (err error) { legacy, err = ParseLegacy(text); return err })
	if err != nil {
		return err
	}
	if len(legacy) > 0 && len(app.Checks[platform.Web]) == 0 {
		if app.Checks == nil {
			app.Checks = map[platform.ProcessType][]platform.Check{}
		}
		app.Checks[platform.Web] = legacy
	}
	img.Checks, img.Formation, img.Parallel = app.Checks, app.Formation, app.Parallel
	img.Declared, img.Cron, img.Scripts = app.Env, app.Cron, app.Scripts
	return nil
}

func parse(read func(string) ([]byte, error), name string, do func([]byte) error) error {
	text, err := read(name)
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, fs.ErrInvalid) {
		return nil
	}
	if err != nil {
		return err
	}
	if len(text) > MaxSize {
		return platform.Errorf(platform.Failed, "%s is larger than %d KiB", name, MaxSize>>10).WithHint("make it smaller")
	}
	return do(text)
}

package manifest

// readScripts reads the commands around a deploy: Heroku's postdeploy, which runs once in an app's life, and Dokku's
// two, which run for every deploy.
func (a *App) readScripts(root object) error {
	scripts, err := root.object("scripts")
	if err != nil {
		return err
	}
	dokku, err := scripts.object("dokku")
	if err != nil {
		return err
	}
	a.noteUnknown(scripts, "postdeploy", "dokku", "test", "test-setup", "pr-predestroy")
	a.noteUnknown(dokku, "predeploy", "postdeploy")
	if scripts.has("pr-predestroy") {
		a.note("app.json scripts.pr-predestroy has no effect: there are no review apps")
	}
	for _, s := range []struct {
		o    object
		key  string
		into *string
	}{
		{scripts, "postdeploy", &a.Scripts.First},
		{dokku, "predeploy", &a.Scripts.Predeploy},
		{dokku, "postdeploy", &a.Scripts.Postdeploy},
	} {
		if *s.into, err = s.o.command(s.key); err != nil {
			return err
		}
	}
	return nil
}

// command reads a command line; in Heroku's older files it is an object that has one.
func (o object) command(key string) (string, error) {
	if raw := o.keys[key]; len(raw) > 0 && raw[0] == '{' {
		inner, err := o.object(key)
		if err != nil {
			return "", err
		}
		return inner.word("command", maxCommand)
	}
	return o.word(key, maxCommand)
}

package manifest

import (
	"fmt"
	"strings"
	"time"

	"paas/platform"
)

// Defaults of docker-container-healthchecker's file format.
const (
	defaultAttempts = 3
	defaultTimeout  = 5 // seconds
	defaultWait     = 5 // seconds
	maxAttempts     = 1000
	maxSeconds      = 3600
)

// What one process type may have, so that a file cannot make an instance busy with being looked at.
const (
	maxChecks  = 32
	maxHeaders = 64
	maxText    = 8 << 10 // bytes of a content or a header
)

func (a *App) readChecks(root object) error {
	processes, err := root.object("healthchecks")
	if err != nil {
		return err
	}
	a.Checks = map[platform.ProcessType][]platform.Check{}
	for _, name := range processes.names() {
		if err := a.readProcess(processes, name); err != nil {
			return err
		}
	}
	return nil
}

func (a *App) readProcess(processes object, name string) error {
	process, err := processType(processes, name)
	if err != nil {
		return err
	}
	items, err := processes.list(name)
	if err != nil {
		return err
	}
	if len(items) > maxChecks {
		return bad(processes.at(name), "%d checks are more than %d", len(items), maxChecks).WithHint("one check of a path that looks at the rest is enough")
	}
	for i, item := range items {
		check, err := a.readCheck(item)
		if err != nil {
			return err
		}
		if check.Name == "" {
			check.Name = fmt.Sprintf("%s-%d", process, i+1)
		}
		a.Checks[process] = append(a.Checks[process], check)
	}
	return nil
}

func (a *App) readCheck(o object) (check platform.Check, err error) {
	a.noteUnknown(o, "type", "name", "path", "command", "listening", "uptime", "attempts", "timeout", "wait",
		"initialDelay", "content", "httpHeaders", "port", "scheme", "warn", "onFailure", "description")
	if check.Type, err = readType(o); err != nil {
		return check, err
	}
	for _, part := range []func(object, *platform.Check) error{readStrategy, readRequest, readTiming, readConsequence} {
		if err := part(o, &check); err != nil {
			return check, err
		}
	}
	if check.OnFailure, err = a.readOnFailure(o); err != nil {
		return check, err
	}
	return check, nil
}

// readConsequence reads what a failure leads to.
func readConsequence(o object, c *platform.Check) (err error) {
	c.Warn, err = o.flag("warn", false)
	return err
}

// readOnFailure takes the command; nobody is told over the network, for the file could name anybody.
func (a *App) readOnFailure(o object) ([]string, error) {
	failure, err := o.object("onFailure")
	if err != nil {
		return nil, err
	}
	a.noteUnknown(failure, "command", "url")
	if failure.has("url") {
		a.note("app.json %s is not called: follow the app's events instead", failure.at("url"))
	}
	return readCommand(failure)
}

func readType(o object) (string, error) {
	kind, err := o.text("type")
	switch {
	case err != nil:
		return "", err
	case kind == "" || kind == "startup":
		return platform.Startup, nil
	case kind == platform.Liveness || kind == platform.Readiness:
		return kind, nil
	}
	return "", bad(o.at("type"), "%q is not a type of check", kind).WithHint(`use "startup", "liveness" or "readiness"`)
}

var strategies = [...]string{"path", "command", "listening", "uptime"}

func readStrategy(o object, c *platform.Check) error {
	if err := exclusive(o); err != nil {
		return err
	}
	listening, err := o.flag("listening", false)
	if err != nil {
		return err
	}
	uptime, err := o.whole("uptime", 0, 0, maxSeconds)
	if err != nil {
		return err
	}
	if c.Command, err = readCommand(o); err != nil {
		return err
	}
	c.Listening, c.Uptime = listening, time.Duration(uptime)*time.Second
	if listening || uptime > 0 || len(c.Command) > 0 {
		return nil
	}
	c.Path, err = readPath(o)
	return err
}

func exclusive(o object) error {
	var used []string
	for _, s := range strategies {
		if o.has(s) && string(o.keys[s]) != "false" {
			used = append(used, s)
		}
	}
	if len(used) > 1 {
		return bad(o.path, "%s exclude each other", strings.Join(used, " and ")).WithHint("make a check of its own for each of them")
	}
	return nil
}

func readCommand(o object) ([]string, error) {
	var argv []string
	if err := o.into("command", &argv, `a list of words: ["…", "…"]`); err != nil {
		return nil, err
	}
	if o.has("command") && (len(argv) == 0 || argv[0] == "") {
		return nil, bad(o.at("command"), "it is empty").WithHint(`name a program and its arguments: ["curl", "-f", "…"]`)
	}
	return argv, nil
}

func readPath(o object) (string, error) {
	path, err := o.text("path")
	if path == "" || err != nil {
		return "/", err
	}
	if !strings.HasPrefix(path, "/") || strings.ContainsAny(path, " \r\n\x00") {
		return "", bad(o.at("path"), "%q is not a path", path).WithHint("it starts with / and has no blanks")
	}
	return path, nil
}

func readRequest(o object, c *platform.Check) (err error) {
	if c.Name, err = o.word("name", maxName); err != nil {
		return err
	}
	if c.Content, err = o.word("content", maxText); err != nil {
		return err
	}
	if c.Scheme, err = readScheme(o); err != nil {
		return err
	}
	if c.Content != "" && c.Path == "" {
		return bad(o.at("content"), "only a check with a path has content").WithHint("add \"path\", or remove \"content\"")
	}
	if c.Port, err = o.whole("port", 0, 0, 65535); err != nil {
		return err
	}
	c.Headers, err = readHeaders(o)
	return err
}

func readScheme(o object) (string, error) {
	scheme, err := o.text("scheme")
	switch scheme = strings.ToLower(scheme); {
	case err != nil:
		return "", err
	case scheme == "" || scheme == "http":
		return "", nil
	case scheme == "https":
		return scheme, nil
	}
	return "", bad(o.at("scheme"), "%q is not spoken to instances", short([]byte(scheme))).WithHint(`use "http" or "https"`)
}

func readHeaders(o object) (map[string]string, error) {
	items, err := o.list("httpHeaders")
	if len(items) == 0 || err != nil {
		return nil, err
	}
	if len(items) > maxHeaders {
		return nil, bad(o.at("httpHeaders"), "%d headers are more than %d", len(items), maxHeaders).WithHint("leave some out")
	}
	headers := map[string]string{}
	for _, item := range items {
		name, err := item.text("name")
		if err != nil {
			return nil, err
		}
		value, err := item.word("value", maxText)
		if err != nil {
			return nil, err
		}
		if !fieldName(name) || strings.ContainsAny(value, "\r\n\x00") {
			return nil, bad(item.path, "%q is not an HTTP header", name).WithHint(`write {"name": "Accept", "value": "text/html"}`)
		}
		headers[name] = value
	}
	return headers, nil
}

// fieldName tells whether s is a token, the only thing a header can be called (RFC 9110, 5.6.2).
func fieldName(s string) bool {
	isToken := func(r rune) bool {
		return r >= '0' && r <= '9' || r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || strings.ContainsRune("!#$%&'*+-.^_`|~", r)
	}
	return s != "" && strings.IndexFunc(s, func(r rune) bool { return !isToken(r) }) < 0
}

func readTiming(o object, c *platform.Check) (err error) {
	for _, key := range []string{"attempts", "timeout", "wait"} {
		if !o.has(key) {
			c.Default = append(c.Default, key)
		}
	}
	if c.Attempts, err = o.whole("attempts", defaultAttempts, 1, maxAttempts); err != nil {
		return err
	}
	for _, t := range []struct {
		key           string
		fallback, low int
		into          *time.Duration
	}{
		{"timeout", defaultTimeout, 1, &c.Timeout},
		{"wait", defaultWait, 0, &c.Wait},
		{"initialDelay", 0, 0, &c.InitialDelay},
	} {
		seconds, err := o.whole(t.key, t.fallback, t.low, maxSeconds)
		if err != nil {
			return err
		}
		*t.into = time.Duration(seconds) * time.Second
	}
	return nil
}

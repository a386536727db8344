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
	for i, item := range items {
		check, skip, err := readCheck(item)
		if err != nil {
			return err
		}
		if skip != "" {
			a.Warnings = append(a.Warnings, fmt.Sprintf("app.json %s: %s; the check is left out.", item.path, skip))
			continue
		}
		if check.Name == "" {
			check.Name = fmt.Sprintf("%s-%d", process, i+1)
		}
		a.Checks[process] = append(a.Checks[process], check)
	}
	return nil
}

// readCheck reads one check, or says why it is not for this platform.
func readCheck(o object) (check platform.Check, skip string, err error) {
	if check.Type, err = readType(o); err != nil {
		return check, "", err
	}
	if skip, err = unsupported(o); skip != "" || err != nil {
		return check, skip, err
	}
	for _, part := range []func(object, *platform.Check) error{readStrategy, readRequest, readTiming} {
		if err := part(o, &check); err != nil {
			return check, "", err
		}
	}
	return check, "", nil
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

func unsupported(o object) (string, error) {
	if warn, err := o.flag("warn", false); warn || err != nil {
		return "checks that only warn are not run", err
	}
	scheme, err := o.text("scheme")
	if err == nil && scheme != "" && !strings.EqualFold(scheme, "http") {
		return scheme + " is not spoken to instances, only http is", nil
	}
	return "", err
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
	if c.Name, err = o.text("name"); err != nil {
		return err
	}
	if c.Content, err = o.text("content"); err != nil {
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

func readHeaders(o object) (map[string]string, error) {
	items, err := o.list("httpHeaders")
	if len(items) == 0 || err != nil {
		return nil, err
	}
	headers := map[string]string{}
	for _, item := range items {
		name, err := item.text("name")
		if err != nil {
			return nil, err
		}
		value, err := item.text("value")
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

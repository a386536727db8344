package platform

import (
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"
)

// dokkuOnly are config vars that Dokku sets for itself (its documentation, "environment variables").
func dokkuOnly(key string) bool {
	return strings.HasPrefix(key, "DOKKU_") || slices.Contains([]string{"GIT_REV", "NO_VHOST", "PORT", "CURL_CONNECT_TIMEOUT", "CURL_TIMEOUT"}, key)
}

// dokkuService finds the hostname of a service container in a value.
var dokkuService = regexp.MustCompile(`dokku-([a-z]+)-([A-Za-z0-9_-]+)`)

func (i *importing) config() error {
	there, err := i.bundle.config(i.old)
	if err != nil {
		i.manual("its config vars cannot be read: %v", err)
		return nil
	}
	maps.DeleteFunc(there, func(key, _ string) bool { return dokkuOnly(key) })
	here := Config{}
	if i.here {
		if here, err = i.p.Store.Config(i.ctx, i.name); err != nil {
			return err
		}
	}
	var kept []string
	for _, key := range slices.Sorted(maps.Keys(there)) {
		value, has := here[key]
		if m := dokkuService.FindStringSubmatch(there[key]); m != nil && (!has || value == there[key]) {
			i.manual("%s leads to the %s service %s of the old host: move its data and set it again", key, m[1], m[2])
		}
		if has && value != there[key] && !i.in.Overwrite {
			kept = append(kept, key)
			delete(there, key)
		} else if has && value == there[key] {
			delete(there, key)
		}
	}
	if len(kept) > 0 {
		i.manual("%s has another value here, which stays: --overwrite changes it", strings.Join(kept, ", "))
	}
	if len(there) == 0 {
		return nil
	}
	text := "set the config vars " + strings.Join(slices.Sorted(maps.Keys(there)), ", ")
	return i.step(text, func() error {
		_, err := i.p.changeConfig(i.ctx, i.call, string(i.name), "Import", func(c Config) { maps.Copy(c, there) })
		return err
	})
}

func (i *importing) formation() error {
	there := i.bundle.formation(i.old)
	here := Formation{}
	if i.here {
		var err error
		if here, err = i.p.Store.Formation(i.ctx, i.name); err != nil {
			return err
		}
	}
	for typ := range here {
		delete(there, typ)
	}
	if len(there) == 0 {
		return nil
	}
	text := "scaled to " + there.String()
	if i.there.Release > 0 {
		i.manual("not %s, since it runs already: ssh paas ps:scale %s", text, i.name)
		return nil
	}
	return i.step(text, func() error {
		maps.Copy(there, here)
		i.p.say(Event{Kind: EventScaled, App: i.name, Actor: i.call.Actor.Name, Text: text})
		return i.p.Store.SetFormation(i.ctx, i.name, there)
	})
}

func (i *importing) domains() error {
	f := i.bundle.fields("domains:report", i.old)
	if f["domains app enabled"] == "false" {
		i.manual("its domains were disabled on the old host; here it answers to %s", i.p.defaultHost(i.name))
	}
	hosts := []string{}
	if i.here {
		var err error
		if hosts, err = i.p.hosts(i.ctx, i.name); err != nil {
			return err
		}
	}
	for _, host := range strings.Fields(f["domains app vhosts"]) {
		if slices.Contains(hosts, strings.ToLower(host)) || strings.EqualFold(host, i.p.defaultHost(i.name)) {
			continue
		}
		err := i.step("added the domain "+host, func() error {
			_, err := i.p.AddDomain(i.ctx, i.call, DomainInput{App: string(i.name), Host: []string{host}})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (i *importing) builder() error {
	f := i.bundle.fields("builder:report", i.old)
	choice := BuildChoice{}
	if i.here {
		r, err := i.p.builderReport(i.ctx, i.there)
		if err != nil {
			return err
		}
		choice = r.Choice
	}
	for field, key := range map[string]string{"builder selected": selectedKey, "builder build dir": "build-dir"} {
		value := f[field]
		if value == "" || key == selectedKey && choice.Builder != "" || key == "build-dir" && choice.Dir != "" {
			continue
		}
		err := i.step(fmt.Sprintf("set %s to %s", strings.TrimPrefix(field, "builder "), value), func() error {
			_, err := i.p.SetBuilder(i.ctx, i.call, BuilderInput{App: string(i.name), Words: []string{key, value}})
			return err
		})
		if err != nil {
			return err
		}
	}
	return nil
}

func (i *importing) buildpacks() error {
	list := i.bundle.listed("buildpacks:list", i.old)
	if len(list) == 0 {
		return nil
	}
	if i.here {
		r, err := i.p.builderReport(i.ctx, i.there)
		if err != nil || len(r.Choice.Buildpacks) > 0 {
			return err
		}
	}
	return i.step("set the buildpacks "+strings.Join(list, ", "), func() error {
		_, err := i.p.SetBuildpacks(i.ctx, i.call, SetBuildpacksInput{App: string(i.name), Buildpacks: list, Replace: true})
		return err
	})
}

func (i *importing) branch() error {
	branch := i.bundle.fields("git:report", i.old)["git deploy branch"]
	if branch == "" || i.there.DeployBranch != "" {
		return nil
	}
	if !branchWord.MatchString(branch) {
		i.manual("its deploy branch %q is none here", branch)
		return nil
	}
	return i.step("deploys the branch "+branch, func() error {
		i.p.say(Event{Kind: EventBuildSet, App: i.name, Actor: i.call.Actor.Name, Text: "pushes to " + branch + " deploy"})
		return i.p.Store.ChangeDeployBranch(i.ctx, i.name, branch)
	})
}

func (i *importing) policy() error {
	policy := i.bundle.fields("ps:report", i.old)["ps restart policy"]
	here := ""
	if i.here {
		var err error
		if here, err = i.p.Store.RestartPolicy(i.ctx, i.name); err != nil {
			return err
		}
	}
	if policy == "" || policy == "on-failure:10" || here != "" { // that is Dokku's default
		return nil
	}
	return i.step("set the restart policy "+policy, func() error {
		_, err := i.p.RestartPolicy(i.ctx, i.call, PolicyInput{App: string(i.name), Policy: policy})
		return err
	})
}

// resourceField is a line of resource:report: "web limit memory". Process types may have dashes, which it shows as
// blanks; "_default_" is every type.
var resourceField = regexp.MustCompile(`^(?:resource )?(.+) (limit|reservation) (cpu|memory|memory swap|network|network ingress|network egress|nvidia gpu)$`)

func (i *importing) limits() error {
	f := i.bundle.fields("resource:report", i.old)
	here := []Setting{}
	if i.here {
		var err error
		if here, err = i.p.Store.Settings(i.ctx, i.name); err != nil {
			return err
		}
	}
	for _, field := range slices.Sorted(maps.Keys(f)) {
		m, value := resourceField.FindStringSubmatch(field), f[field]
		if m == nil || value == "" || value == "0" {
			continue
		}
		s := Setting{Topic: LimitTopic, Type: ProcessType(strings.ReplaceAll(m[1], " ", "-")), Key: m[3], Value: megabytes(value)}
		if s.Type == "-default-" || s.Type == "_default_" || s.Type == "default" {
			s.Type = ""
		}
		if m[2] == "reservation" {
			s.Topic = ReserveTopic
		}
		if s.Key != "memory" && s.Key != "cpu" {
			i.manual("the %s %s of %s for %s has no like here", m[2], m[3], value, typeName(s.Type))
			continue
		}
		if s.Key == "cpu" {
			s.Value = value
		}
		if slices.ContainsFunc(here, func(h Setting) bool { return h.Topic == s.Topic && h.Type == s.Type && h.Key == s.Key }) {
			continue
		}
		if err := i.limit(s); err != nil {
			return err
		}
	}
	return nil
}

func (i *importing) limit(s Setting) error {
	return i.step(fmt.Sprintf("%s %s of %s: %s", s.Key, s.Topic, typeName(s.Type), s.Value), func() error {
		in := LimitInput{App: string(i.name), Type: string(s.Type), Changes: []string{s.Key + "=" + s.Value}}
		if s.Topic == ReserveTopic {
			_, err := i.p.Reserve(i.ctx, i.call, in)
			return err
		}
		_, err := i.p.Limit(i.ctx, i.call, in)
		return err
	})
}

// megabytes is a memory limit of Dokku's in our words: a number alone is megabytes there (its documentation,
// "docker-local").
func megabytes(value string) string {
	if strings.Trim(value, "0123456789") == "" {
		return value + "m"
	}
	return value
}

func (i *importing) volumes() error {
	for _, line := range i.bundle.listed("storage:list", i.old) {
		parts := strings.Split(line, ":")
		if len(parts) < 2 || !path.IsAbs(parts[1]) {
			continue
		}
		m, err := parseMount(MountInput{App: string(i.name), What: parts[0] + ":" + parts[1], ReadOnly: len(parts) > 2 && strings.Contains(parts[2], "ro")})
		if err != nil || path.IsAbs(m.Storage) {
			i.manual("%s is a directory of the old host: make a volume for it, or with host_storage mount one of this host", line)
			continue
		}
		if has, err := i.has(m); err != nil {
			return err
		} else if has {
			continue
		}
		if v, err := i.p.Store.Volume(i.ctx, VolumeName(m.Storage)); err == nil && !i.made[v.Name] && !slices.Contains(v.Apps, i.name) {
			i.manual("there is a volume %s here already: if it is the one, ssh paas storage:mount %s %s:%s", v.Name, i.name, v.Name, m.Path)
			continue
		}
		i.made[VolumeName(m.Storage)] = true
		err = i.step(fmt.Sprintf("mounted the volume %s at %s", m.Storage, m.Path), func() error {
			_, err := i.p.MountVolume(i.ctx, i.call, MountInput{App: string(i.name), What: m.Storage + ":" + m.Path, ReadOnly: m.ReadOnly, Create: true})
			return err
		})
		if err != nil {
			return err
		}
		i.manual("the content of %s stays on the old host: copy it when the app runs, with tar and ps:cp-in (docs/migrate-from-dokku.md)", parts[0])
	}
	return nil
}

// has tells whether the app has the mount.
func (i *importing) has(m Mount) (bool, error) {
	if !i.here {
		return false, nil
	}
	spec, err := i.p.Store.Spec(i.ctx, i.name)
	return slices.ContainsFunc(spec.Mounts, func(h Mount) bool { return h.Path == m.Path && h.Storage == m.Storage }), err
}

// rest tells what is not brought over.
func (i *importing) rest() {
	options := i.bundle.fields("docker-options:report", i.old)
	for _, phase := range slices.Sorted(maps.Keys(options)) {
		value := strings.TrimSpace(strings.ReplaceAll(options[phase], "--restart=on-failure:10", ""))
		if strings.HasPrefix(phase, "docker options ") && value != "" {
			i.manual("%s %s: there is no docker here (resource:limit, storage:mount and security:set do what is possible)", phase, value)
		}
	}
	checks := i.bundle.fields("checks:report", i.old)
	for field, verb := range map[string]string{"checks disabled list": "checks:disable", "checks skipped list": "checks:skip"} {
		if list := checks[field]; list != "" && list != "none" {
			i.manual("its checks were off for %s: ssh paas %s %s %s", list, verb, i.name, strings.ReplaceAll(list, ",", " "))
		}
	}
	for _, line := range append(i.bundle.listed("ports:list", i.old), i.bundle.listed("proxy:ports", i.old)...) {
		w := strings.Fields(line)
		if len(w) == 3 && (w[1] != "80" && w[1] != "443") && strings.Trim(w[1]+w[2], "0123456789") == "" {
			i.manual("port %s of the old host led to its port %s (%s): ssh paas ports:add %s %s:%s:%s", w[1], w[2], w[0], i.name, w[0], w[1], w[2])
		}
	}
	if i.bundle.fields("certs:report", i.old)["ssl enabled"] == "true" {
		i.manual("its certificate stays on the old host: one is obtained here, or bring it: ssh paas certs:add %s < crt-and-key.pem", i.name)
	}
	if i.there.Release == 0 {
		i.manual("its code comes with a push: git remote add paas …/%s && git push paas", i.name)
	}
}

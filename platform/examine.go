package platform

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
)

// Host memory below which things begin to fail, and pressure above which everything is slow (percent of the last
// ten seconds in which all stood still, Documentation/accounting/psi.rst).
const (
	scarceMemory = 0.10
	lastMemory   = 0.03
	highPressure = 20
)

// memoryFinding tells of the host's memory.
func memoryFinding(l Load) Finding {
	f := Finding{Check: "memory", Grade: Fine, Text: fmt.Sprintf("%s of %s can be had.", Bytes(l.MemoryFree), Bytes(l.Memory))}
	share := float64(l.MemoryFree) / float64(max(l.Memory, 1))
	switch {
	case share < lastMemory:
		f.Grade = Failing
	case share < scarceMemory:
		f.Grade = Warning
	case l.MemoryPressure > highPressure:
		f.Grade, f.Text = Warning, fmt.Sprintf("Processes stand still for want of memory %.0f%% of the time.", l.MemoryPressure)
	}
	if f.Grade != Fine {
		f.Fix = "let apps sleep (ssh paas ps:set APP idle 15m), bound them (ssh paas resource:limit), or add swap"
	}
	return f
}

// appsFinding tells how many apps are not well.
func (p *Platform) appsFinding(ctx context.Context) Finding {
	f := Finding{Check: "apps", Grade: Fine}
	apps, err := p.Store.Apps(ctx)
	if err != nil {
		f.Grade, f.Text = Warning, sentence(err)
		return f
	}
	var ill []string
	for _, app := range apps {
		if about, err := p.whyApp(ctx, app); err == nil && !about.Well {
			ill = append(ill, string(app.Name))
		}
	}
	f.Text = fmt.Sprintf("%s, each as it should be.", plural(int64(len(apps)), "app", "apps"))
	if len(ill) > 0 {
		f.Grade, f.Fix = Warning, "ssh paas why "+ill[0]
		f.Text = fmt.Sprintf("%d of %s not well: %s.", len(ill), plural(int64(len(apps)), "app is", "apps are"), strings.Join(ill[:min(len(ill), 5)], ", "))
	}
	return f
}

// examine checks one app.
func (p *Platform) examine(ctx context.Context, app App) ([]Finding, error) {
	look, err := p.lookAt(ctx, app)
	if err != nil {
		return nil, err
	}
	about, err := p.whyApp(ctx, app)
	if err != nil {
		return nil, err
	}
	list := []Finding{look.releaseFinding(), look.processFinding(about)}
	list = append(list, look.checksFinding(), p.memoryOf(ctx, look), p.diskOf(about))
	list = append(list, p.hostFindings(ctx, look)...)
	return append(list, p.certificatesOf(app.Name, about)...), nil
}

func (k *look) releaseFinding() Finding {
	f := Finding{Check: "release", Grade: Fine}
	switch {
	case k.app.Release == 0:
		f.Grade, f.Text, f.Fix = Warning, "It was never deployed.", "git push paas main"
	case k.change != nil:
		f.Grade, f.Text, f.Fix = Warning, fmt.Sprintf("v%d is current, but the last change failed: %s.", k.app.Release, k.change.Text), "ssh paas why "+string(k.app.Name)
	default:
		f.Text = fmt.Sprintf("v%d is current, and the last change succeeded.", k.app.Release)
	}
	return f
}

func (k *look) processFinding(about *AppWhy) Finding {
	f := Finding{Check: "processes", Grade: Fine, Text: about.Summary + "."}
	switch about.State {
	case StateCrashing, StateUnhealthy:
		f.Grade = Failing
	case StateDegraded, StateStopped, StateMaintenance, StatePaused, StateIdle:
		f.Grade = Warning
	}
	if f.Grade != Fine {
		f.Fix = "ssh paas why " + string(k.app.Name)
	}
	return f
}

// checksFinding tells what decides whether an instance is healthy.
func (k *look) checksFinding() Finding {
	f := Finding{Check: "checks", Grade: Fine}
	n := 0
	for _, checks := range k.want.release.Image.Checks {
		n += len(checks)
	}
	switch {
	case len(k.unready) > 0:
		f.Grade, f.Text, f.Fix = Failing, fmt.Sprintf("%s not ready.", plural(int64(len(k.unready)), "process is", "processes are")), "ssh paas why "+string(k.app.Name)
	case n > 0:
		f.Text = fmt.Sprintf("%s declared, and none fails.", plural(int64(n), "check is", "checks are"))
	default:
		f.Text = "None is declared: a web process counts as healthy when it listens on PORT."
	}
	return f
}

// nearLimit is the part of its memory limit that an instance should stay below.
const nearLimit = 0.9

func (p *Platform) memoryOf(ctx context.Context, look look) Finding {
	f := Finding{Check: "memory", Grade: Fine, Text: "No process is near its limit."}
	counts, err := p.Store.OOMCounts(ctx, look.app.Name)
	if err == nil && len(counts) > 0 {
		last := slices.MaxFunc(counts, func(a, b OOMCount) int { return a.LastAt.Compare(b.LastAt) })
		if look.now.Sub(last.LastAt) < pastTrouble {
			f.Grade, f.Fix = Warning, moreMemory(look.app.Name, last.Type, last.Limit)
			f.Text = fmt.Sprintf("Processes of %s were killed for want of memory, last %s ago: the limit is %s.", last.Type, roughly(look.now.Sub(last.LastAt)), Bytes(last.Limit))
			return f
		}
	}
	for _, i := range look.have {
		s, err := p.Runner.Stats(ctx, i.ID)
		if err == nil && s.MemoryLimit > 0 && float64(s.Memory) > nearLimit*float64(s.MemoryLimit) {
			f.Grade, f.Fix = Warning, moreMemory(look.app.Name, i.Type, s.MemoryLimit)
			f.Text = fmt.Sprintf("%s uses %s of the %s that it may.", i.Name(), Bytes(s.Memory), Bytes(s.MemoryLimit))
		}
	}
	return f
}

// diskOf: the host's disk is every app's.
func (p *Platform) diskOf(about *AppWhy) Finding {
	f := Finding{Check: "disk", Grade: Fine, Text: "There is room for a push."}
	if err := p.Images.Room(); KindOf(err) == Failed {
		f.Grade, f.Text, f.Fix = Failing, "There is no room for a push: "+sentence(err)+".", "ssh paas disk "+string(about.App)
	}
	return f
}

// mostHosts bounds how many names are looked up: each may take seconds.
const mostHosts = 20

// hostFindings looks whether the app's names lead here. A wildcard is asked for by a name below it.
func (p *Platform) hostFindings(ctx context.Context, look look) (list []Finding) {
	if p.Host == nil {
		return nil
	}
	for n, host := range look.hosts {
		if n == mostHosts {
			return append(list, Finding{Check: "domains", Grade: Warning, Text: fmt.Sprintf("Only %d of %d were looked up.", n, len(look.hosts)), Fix: "ssh paas domains:report " + string(look.app.Name)})
		}
		f := Finding{Check: "domain", Grade: Fine, Text: host + " leads here."}
		if err := p.Host.Leads(ctx, strings.Replace(host, "*.", "paas-doctor.", 1)); err != nil {
			f.Grade, f.Text = Warning, sentence(err)+"."
			f.Fix = fmt.Sprintf("add a DNS record: %s A <this host's address>", host)
			if errors.Is(err, context.DeadlineExceeded) {
				f.Text, f.Fix = fmt.Sprintf("It is not known where %s leads: DNS did not answer.", host), "see /etc/resolv.conf of the server"
			}
		}
		list = append(list, f)
	}
	return list
}

func (p *Platform) certificatesOf(name AppName, about *AppWhy) (list []Finding) {
	if p.Certificates == nil || p.Settings.HTTPSPort == 0 {
		return nil
	}
	if len(about.Certificates) == 0 {
		return []Finding{{Check: "certificates", Grade: Fine, Text: "No hostname lacks its certificate."}}
	}
	for _, s := range about.Certificates {
		f := Finding{Check: "certificate", Grade: Warning, Fix: "ssh paas certs:report " + string(name)}
		f.Text = fmt.Sprintf("%s: %s. %s", s.Host, s.State, s.Error)
		if s.State == "expired" {
			f.Grade = Failing
		}
		list = append(list, f)
	}
	return list
}

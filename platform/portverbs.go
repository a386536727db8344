package platform

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"strconv"
	"time"
)

// PortInput is ports:add and ports:set.
type PortInput struct {
	App         string   `arg:"app"`
	Maps        []string `arg:"mapping" rest:"required"`
	Type        string   `flag:"process" short:"p" value:"TYPE" help:"whose instances it leads to; web unless said otherwise"`
	Proxy       string   `flag:"proxy" value:"VERSION" help:"tell the app who the client is: v1 or v2"`
	Connections int      `flag:"max" value:"N" help:"at a time; 1024 unless said otherwise"`
	Idle        string   `flag:"idle" value:"TIME" help:"close a silent connection after this; 1h, with udp 2m"`
}

// PortRemoveInput is ports:remove.
type PortRemoveInput struct {
	App  string   `arg:"app"`
	Maps []string `arg:"port" rest:"required" help:"a host's port, or a mapping"`
}

// PortView is one line of ports:list.
type PortView struct {
	App AppName `json:"app"`
	Mapping
	PortUsage
}

// PortList is an app's mappings, or everybody's.
type PortList []PortView

// Text implements the verbs' output.
func (l PortList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l {
		state := v.Problem
		if state == "" {
			state = "open"
		}
		rows = append(rows, []string{
			string(v.App), v.Mapping.String(), string(v.Type), cmp.Or(v.Proxy, "-"),
			fmt.Sprintf("%d/%d", v.PortUsage.Connections, v.Limit()), strconv.FormatInt(v.Refused, 10), v.Patience().String(), state,
		})
	}
	return table(w, []string{"APP", "MAPPING", "PROCESS", "PROXY", "CONNECTIONS", "REFUSED", "IDLE", "STATE"}, rows)
}

// privileged is the first port that every member may map; those below are an admin's to give (ip(7) calls them so).
const privileged = 1024

// AddPorts leads more ports of the host to the app. Saying it twice is no error; another container port or
// another option for a port that the app has replaces what it had.
func (p *Platform) AddPorts(ctx context.Context, call Call, in PortInput) (PortList, error) {
	return p.changePorts(ctx, call, in.App, func(have []Mapping) ([]Mapping, error) {
		list, err := in.mappings()
		for _, m := range list {
			have = append(slices.DeleteFunc(have, m.Same), m)
		}
		return have, err
	})
}

// SetPorts replaces all of the app's mappings.
func (p *Platform) SetPorts(ctx context.Context, call Call, in PortInput) (PortList, error) {
	return p.changePorts(ctx, call, in.App, func([]Mapping) ([]Mapping, error) { return in.mappings() })
}

// ClearPorts takes all away.
func (p *Platform) ClearPorts(ctx context.Context, call Call, in AppInput) (PortList, error) {
	return p.changePorts(ctx, call, in.App, func([]Mapping) ([]Mapping, error) { return nil, nil })
}

// RemovePorts takes mappings away. Connections through them may end within the drain time.
func (p *Platform) RemovePorts(ctx context.Context, call Call, in PortRemoveInput) (PortList, error) {
	return p.changePorts(ctx, call, in.App, func(have []Mapping) ([]Mapping, error) {
		for _, word := range in.Maps {
			n := len(have)
			have = slices.DeleteFunc(have, func(m Mapping) bool { return word == strconv.Itoa(m.HostPort) || word == m.String() })
			if len(have) == n {
				return nil, Errorf(NotFound, "%s has no mapping %s", in.App, word).WithHint("see what it has: ssh paas ports:list %s", in.App)
			}
		}
		return have, nil
	})
}

func (in PortInput) mappings() (list []Mapping, err error) {
	for _, word := range in.Maps {
		m, err := parseMapping(word)
		if err == nil {
			err = in.equip(&m)
		}
		if err != nil {
			return nil, err
		}
		if slices.ContainsFunc(list, m.Same) {
			return nil, Errorf(Usage, "port %d is named twice", m.HostPort)
		}
		list = append(list, m)
	}
	return list, nil
}

// equip adds what the flags say.
func (in PortInput) equip(m *Mapping) (err error) {
	m.Type, m.Proxy, m.Connections = ProcessType(cmp.Or(in.Type, string(Web))), in.Proxy, in.Connections
	if in.Idle != "" {
		if m.Idle, err = time.ParseDuration(in.Idle); err != nil || m.Idle < time.Second {
			return Errorf(Usage, "%q is no time of at least a second: write it like 30s or 1h", in.Idle)
		}
	}
	web := m.Scheme == HTTPScheme || m.Scheme == HTTPSScheme
	switch {
	case m.Connections < 0 || m.Connections > MostConnections:
		return Errorf(Usage, "--max is a number from 1 to %d", MostConnections)
	case m.Proxy != "" && m.Proxy != "v1" && m.Proxy != "v2":
		return Errorf(Usage, "the PROXY protocol has the versions v1 and v2, not %q", m.Proxy)
	case m.Proxy == "v1" && m.Scheme == UDPScheme:
		return Errorf(Usage, "version 1 of the PROXY protocol knows no UDP").WithHint("use --proxy v2")
	case web && m.Type != Web:
		return Errorf(Usage, "%s leads to web processes; for %s map tcp:%d:%d", m.Scheme, m.Type, m.HostPort, m.Port)
	case web && (m.Proxy != "" || m.Connections != 0 || m.Idle != 0):
		return Errorf(Usage, "--proxy, --max and --idle are for tcp and udp: with %s the app gets X-Forwarded-For", m.Scheme)
	}
	return nil
}

// changePorts opens what is new before anything is recorded.
func (p *Platform) changePorts(ctx context.Context, call Call, name string, change func([]Mapping) ([]Mapping, error)) (PortList, error) {
	app, err := p.find(ctx, name)
	if err != nil {
		return nil, err
	}
	p.portsMu.Lock()
	defer p.portsMu.Unlock()
	have, err := p.Store.Mappings(ctx, app.Name)
	if err != nil {
		return nil, err
	}
	want, err := change(slices.Clone(have))
	if err != nil {
		return nil, err
	}
	if len(want) > mostMappings {
		return nil, Errorf(Usage, "an app has at most %d port mappings", mostMappings)
	}
	if err = p.claimAll(ctx, call, app, have, want); err == nil {
		err = p.Store.SetMappings(ctx, app.Name, want)
	}
	// Also after a failure: what was claimed and is not recorded is let go of.
	p.drainLater(p.republish(context.WithoutCancel(ctx), app, func(list []Instance) []Instance { return list }))
	if err != nil {
		return nil, err
	}
	return p.portsOf(ctx, app.Name)
}

func (p *Platform) claimAll(ctx context.Context, call Call, app App, have, want []Mapping) error {
	for _, m := range want {
		if slices.ContainsFunc(have, m.Same) {
			continue
		}
		if m.HostPort < privileged && !call.Actor.Admin {
			return Errorf(Denied, "ports below %d are for admins to map", privileged).WithHint("choose a port from %d up, or ask an admin", privileged)
		}
		owner, err := p.Store.MappingOwner(ctx, m)
		if err == nil && owner != app.Name {
			if role, err := p.Role(ctx, call.Actor, owner); err != nil || role == NoRole {
				return errorOr(err, Errorf(Conflict, "%s port %d of this host is taken", m.Transport(), m.HostPort).WithHint("choose another"))
			}
			return Errorf(Conflict, "%s port %d of this host leads to %s", m.Transport(), m.HostPort, owner).
				WithHint("choose another, or: ssh paas ports:remove %s %d", owner, m.HostPort)
		}
		if err != nil && KindOf(err) != NotFound {
			return err
		}
		if err := p.Ports.Claim(app.Name, m); err != nil {
			return err
		}
	}
	return nil
}

// ListPorts shows the app's mappings.
func (p *Platform) ListPorts(ctx context.Context, _ Call, in AppInput) (PortList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return nil, err
	}
	return p.portsOf(ctx, app.Name)
}

// PortReportInput is ports:report.
type PortReportInput struct {
	App string `arg:"app" optional:"true" help:"all apps unless one is named"`
}

// ReportPorts shows every app's mappings, or one's.
func (p *Platform) ReportPorts(ctx context.Context, call Call, in PortReportInput) (PortList, error) {
	if in.App != "" {
		return p.ListPorts(ctx, call, AppInput(in))
	}
	apps, err := p.oneOrAll(ctx, call, "")
	if err != nil {
		return nil, err
	}
	all := PortList{}
	for _, app := range apps {
		list, err := p.portsOf(ctx, app.Name)
		if err != nil {
			return nil, err
		}
		all = append(all, list...)
	}
	return all, nil
}

func (p *Platform) portsOf(ctx context.Context, name AppName) (PortList, error) {
	mappings, err := p.Store.Mappings(ctx, name)
	if err != nil {
		return nil, err
	}
	list := PortList{}
	for _, m := range mappings {
		list = append(list, PortView{App: name, Mapping: m, PortUsage: p.Ports.Usage(name, m)})
	}
	return list, nil
}

// addrAt is another port of an instance.
func addrAt(i Instance, port int) netip.AddrPort {
	return netip.AddrPortFrom(i.Addr.Addr(), uint16(port)) //nolint:gosec // parseMapping keeps it below 65536
}

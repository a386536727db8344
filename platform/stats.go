package platform

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"
)

// StatsInput is ps:stats.
type StatsInput struct {
	App     string `arg:"app"`
	Process string `arg:"process" optional:"true" help:"a process or type, like web.1 or web; without it all"`
	Follow  bool   `flag:"follow" short:"f" help:"again every two seconds until Ctrl-C"`
	JSON    bool   `flag:"json" help:"one JSON object a line"`
}

// StatsView is what one instance uses. What the host does not count is null, and so is a limit that is
// not set.
type StatsView struct {
	At           time.Time `json:"at"`
	Name         string    `json:"name"`
	CPU          float64   `json:"cpu_percent"` // of one processor
	CPUSeconds   float64   `json:"cpu_seconds"` // since it started
	Memory       *int64    `json:"memory_bytes"`
	MemoryPeak   *int64    `json:"memory_peak_bytes"`
	MemoryLimit  *int64    `json:"memory_limit_bytes"`
	Processes    *int64    `json:"processes"`
	ProcessLimit *int64    `json:"process_limit"`
	Read         *int64    `json:"read_bytes"`
	Written      *int64    `json:"written_bytes"`
	Received     *int64    `json:"received_bytes"`
	Sent         *int64    `json:"sent_bytes"`
	Paused       bool      `json:"paused,omitempty"`
}

const (
	firstSample = 250 * time.Millisecond // over which the processor's share is first taken
	statsEvery  = 2 * time.Second
)

// Stats prints what an app's instances use, once or again and again.
func (p *Platform) Stats(ctx context.Context, call Call, in StatsInput) (Streamed, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Streamed{}, err
	}
	if _, err := p.chosen(ctx, app.Name, in.Process); err != nil {
		return Streamed{}, err
	}
	ctx, stop := untilQuit(ctx, call)
	defer stop()
	m := meter{platform: p, app: app.Name, process: in.Process, before: map[InstanceID]Stats{}}
	if _, err := m.read(ctx); err != nil {
		return Streamed{}, err
	}
	for pause := firstSample; sleep(ctx, pause) == nil; pause = statsEvery {
		views, err := m.read(ctx)
		if err == nil {
			err = printStats(page(call), views, in.JSON)
		}
		if err != nil || !in.Follow {
			return Streamed{}, err
		}
		select {
		case <-p.life.Done():
			return Streamed{}, nil
		default:
		}
	}
	return Streamed{Exit: 130}, nil
}

// meter remembers the last reading: shares of time are differences.
type meter struct {
	platform *Platform
	app      AppName
	process  string
	before   map[InstanceID]Stats
}

// read looks at every instance; one that ends meanwhile is left out.
func (m *meter) read(ctx context.Context) (views []StatsView, err error) {
	list, err := m.platform.chosen(ctx, m.app, m.process)
	if KindOf(err) == NotFound {
		return nil, nil // all are just being replaced
	}
	if err != nil {
		return nil, err
	}
	for _, i := range list {
		s, err := m.platform.Runner.Stats(ctx, i.ID)
		if KindOf(err) == NotFound {
			continue
		}
		if err != nil {
			return nil, fmt.Errorf("read what %s of %s uses: %w", i.Name(), m.app, err)
		}
		views = append(views, view(i, m.before[i.ID], s))
		m.before[i.ID] = s
	}
	return views, nil
}

func view(i Instance, before, s Stats) StatsView {
	v := StatsView{
		At: s.At.UTC(), Name: i.Name(), CPUSeconds: s.CPU.Seconds(), Paused: i.Paused,
		Memory: counted(s.Memory), MemoryPeak: counted(s.MemoryPeak), MemoryLimit: limit(s.MemoryLimit),
		Processes: counted(int64(s.Processes)), ProcessLimit: limit(int64(s.ProcessLimit)),
		Read: counted(s.Read), Written: counted(s.Written), Received: counted(s.Received), Sent: counted(s.Sent),
	}
	if past := s.At.Sub(before.At); !before.At.IsZero() && past > 0 {
		v.CPU = 100 * float64(s.CPU-before.CPU) / float64(past)
	}
	return v
}

func counted(n int64) *int64 {
	if n < 0 {
		return nil
	}
	return &n
}

func limit(n int64) *int64 {
	if n <= 0 {
		return nil
	}
	return &n
}

func printStats(w io.Writer, views []StatsView, json bool) error {
	var rows [][]string
	for _, v := range views {
		if json {
			if err := printJSONLine(w, v); err != nil {
				return err
			}
			continue
		}
		rows = append(rows, []string{
			v.Name, fmt.Sprintf("%.1f%%", v.CPU), bytesOf(v.Memory), bytesOf(v.MemoryPeak), bytesOf(v.MemoryLimit),
			plain(v.Processes) + "/" + plain(v.ProcessLimit), bytesOf(v.Read), bytesOf(v.Written), bytesOf(v.Received), bytesOf(v.Sent),
		})
	}
	if json {
		return nil
	}
	return table(w, []string{"NAME", "CPU", "MEMORY", "PEAK", "LIMIT", "PIDS", "READ", "WRITTEN", "RECEIVED", "SENT"}, rows)
}

// page is where a table goes: aligned for people, tab-separated for programs.
func page(call Call) io.Writer {
	if call.Terminal != nil {
		return call.Out
	}
	return Piped{Writer: call.Out}
}

func plain(n *int64) string {
	if n == nil {
		return "-"
	}
	return strconv.FormatInt(*n, 10)
}

// bytesOf prints bytes in binary units, three digits or so: "512MiB", "1.5GiB".
func bytesOf(n *int64) string {
	if n == nil {
		return "-"
	}
	f, unit := float64(*n), 0
	units := [...]string{"B", "KiB", "MiB", "GiB", "TiB"}
	for f >= 1000 && unit < len(units)-1 {
		f, unit = f/1024, unit+1
	}
	if f < 10 && unit > 0 {
		return fmt.Sprintf("%.1f%s", f, units[unit])
	}
	return fmt.Sprintf("%.0f%s", f, units[unit])
}

package platform

import (
	"context"
	"fmt"
	"io"
	"strconv"
	"time"
)

// LatencyBounds are the upper bounds of the buckets in which the time of requests is counted, from the request's
// head to the first byte of the answer. One more bucket counts what took longer.
var LatencyBounds = [...]time.Duration{
	250 * time.Microsecond, 500 * time.Microsecond, time.Millisecond, 2500 * time.Microsecond, 5 * time.Millisecond,
	10 * time.Millisecond, 25 * time.Millisecond, 50 * time.Millisecond, 100 * time.Millisecond,
	250 * time.Millisecond, 500 * time.Millisecond, time.Second, 2500 * time.Millisecond, 5 * time.Second,
	10 * time.Second, 30 * time.Second,
}

// RequestCounts are what was asked and answered since the router knows an app or an instance.
type RequestCounts struct {
	Requests uint64                         `json:"requests"`
	InFlight int                            `json:"in_flight"` // open WebSockets too
	Status   [6]uint64                      `json:"status"`    // by class: the third is 200 to 299
	Latency  [len(LatencyBounds) + 1]uint64 `json:"latency"`   // by LatencyBounds
	Bytes    uint64                         `json:"bytes"`     // of answers' bodies
	Cut      uint64                         `json:"cut"`       // answers that ended too early, on either side
}

// Quantile is the upper bound of the bucket in which the q-th part of the requests lies; 0 without any.
func (c *RequestCounts) Quantile(q float64) time.Duration {
	left := uint64(q * float64(c.Requests))
	for i, n := range c.Latency {
		if n > left {
			return LatencyBounds[min(i, len(LatencyBounds)-1)]
		}
		left -= n
	}
	return 0
}

// RequestStats are an app's counts and those of the instances that it has now.
type RequestStats struct {
	RequestCounts
	Instances map[InstanceID]RequestCounts
	Waiting   int          // requests for an instance that takes them
	Resting   []InstanceID // that did not answer, and get none for a moment
}

// RequestView is one line of router:stats.
type RequestView struct {
	Name string `json:"name"` // "web.1", or the app for the sum of all that it ever had
	RequestCounts
	P50 float64 `json:"p50_ms"` // upper bounds, in milliseconds
	P95 float64 `json:"p95_ms"`
	P99 float64 `json:"p99_ms"`
}

// RequestList is router:stats.
type RequestList []RequestView

// Requests shows what the router has counted for an app since the daemon started.
func (p *Platform) Requests(ctx context.Context, _ Call, in AppInput) (RequestList, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return nil, err
	}
	stats := p.Router.Stats(app.Name)
	list := RequestList{requestView(string(app.Name), stats.RequestCounts)}
	running, err := p.instances(ctx, app.Name)
	if err != nil {
		return nil, err
	}
	for _, i := range running {
		if counts, ok := stats.Instances[i.ID]; ok {
			list = append(list, requestView(i.Name(), counts))
		}
	}
	return list, nil
}

func requestView(name string, c RequestCounts) RequestView {
	ms := func(q float64) float64 { return float64(c.Quantile(q).Microseconds()) / 1000 }
	return RequestView{Name: name, RequestCounts: c, P50: ms(0.5), P95: ms(0.95), P99: ms(0.99)}
}

// Text implements the verbs' output.
func (l RequestList) Text(w io.Writer) error {
	var rows [][]string
	count := func(n uint64) string { return strconv.FormatUint(n, 10) }
	for _, v := range l {
		sent := int64(v.Bytes) //nolint:gosec // nobody sends eight exabytes
		rows = append(rows, []string{
			v.Name, count(v.Requests), strconv.Itoa(v.InFlight), count(v.Status[2]), count(v.Status[3]), count(v.Status[4]),
			count(v.Status[5]), count(v.Cut), atMost(v.P50), atMost(v.P95), atMost(v.P99), bytesOf(&sent),
		})
	}
	return table(w, []string{"NAME", "REQUESTS", "NOW", "2XX", "3XX", "4XX", "5XX", "CUT", "P50", "P95", "P99", "SENT"}, rows)
}

func atMost(ms float64) string { return fmt.Sprintf("<%gms", ms) }

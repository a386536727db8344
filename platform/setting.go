package platform

import (
	"cmp"
	"context"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Topic is a family of settings.
type Topic string

// The topics.
const (
	LimitTopic    Topic = "limit"
	ReserveTopic  Topic = "reserve"
	SecurityTopic Topic = "security"
)

// Setting is one thing an app was given, in the words that it was asked for with.
type Setting struct {
	Topic Topic       `json:"topic"`
	Type  ProcessType `json:"process_type,omitempty"` // "": every type that has no own
	Key   string      `json:"key"`
	Value string      `json:"value"`
}

// SettingChange is a Setting's history.
type SettingChange struct {
	Setting
	Before string    `json:"before,omitempty"` // "": it was not set
	At     time.Time `json:"at"`
	Actor  string    `json:"actor"`
}

// Ledgers keep what apps were given, who did it, and how often memory did not suffice.
type Ledgers interface {
	// Settings lists all of an app's, by topic, type and key.
	Settings(ctx context.Context, name AppName) ([]Setting, error)
	// ChangeSettings stores settings; one with an empty value is removed. What was different before gets
	// an entry with the actor.
	ChangeSettings(ctx context.Context, name AppName, actor string, list []Setting) error
	// SettingChanges lists the last n of a topic, newest first.
	SettingChanges(ctx context.Context, name AppName, topic Topic, n int) ([]SettingChange, error)
	// CountOOM adds to how often the kernel killed processes of a type for want of memory.
	CountOOM(ctx context.Context, name AppName, c OOMCount) error
	OOMCounts(ctx context.Context, name AppName) ([]OOMCount, error)
}

// clear is the value that takes a setting away.
const clearValue = "clear"

// parsePairs splits words like memory=512m. What is given twice is joined with a comma.
func parsePairs(words []string) (keys []string, values map[string]string, err error) {
	values = map[string]string{}
	for _, word := range words {
		key, value, ok := strings.Cut(word, "=")
		if !ok || key == "" || value == "" {
			name := cmp.Or(key, "memory")
			return nil, nil, Errorf(Usage, "%q is no setting: write it like %s=VALUE, or %s=clear to take it away", word, name, name)
		}
		if before, twice := values[key]; twice {
			values[key] = before + "," + value
			continue
		}
		keys = append(keys, key)
		values[key] = value
	}
	return keys, values, nil
}

// resolve gives what holds for a process type: what is set for all types, and on top of it its own.
func resolve(list []Setting, topic Topic, typ ProcessType) map[string]string {
	out := map[string]string{}
	for _, own := range []ProcessType{"", typ} {
		for _, s := range list {
			if s.Topic == topic && s.Type == own {
				out[s.Key] = s.Value
			}
		}
	}
	return out
}

// limitsOf are the limits that the settings give a process type.
func limitsOf(list []Setting, typ ProcessType) (l Limits, err error) {
	for topic, knobs := range map[Topic][]knob{LimitTopic: limitKnobs(), ReserveTopic: reserveKnobs()} {
		for key, value := range resolve(list, topic, typ) {
			k, err := findKnob(knobs, key)
			if err == nil {
				err = k.set(&l, value)
			}
			if err != nil {
				return l, fmt.Errorf("read %s of %s: %w", topic, typ, err)
			}
		}
	}
	return l, nil
}

// knob is a key that resource:limit or resource:reserve takes.
type knob struct {
	key, like, help string
	set             func(l *Limits, value string) error
}

func limitKnobs() []knob {
	return []knob{
		{"memory", "512m", "memory of one process's container", func(l *Limits, v string) error {
			return setBytes(&l.Memory, v, leastMemory)
		}},
		{"memory-high", "400m", "from here on it is slowed down (cgroup v2)", func(l *Limits, v string) error {
			return setBytes(&l.MemoryHigh, v, leastMemory)
		}},
		{"swap", "256m", "swap beside the memory; none without it", func(l *Limits, v string) error { return setBytes(&l.Swap, v, 0) }},
		{"cpu", "1.5", "processors' worth of time", func(l *Limits, v string) error { return setShare(&l.CPUs, v, 0.01, 1024) }},
		{"cpuset", "0-1", "the processors it may run on", setCPUSet},
		{"pids", "512", "processes and threads", func(l *Limits, v string) error {
			return setCount(&l.Processes, v, leastProcesses, 4_000_000)
		}},
		{"disk", "2g", "what it writes to its root file system", func(l *Limits, v string) error { return setBytes(&l.Disk, v, 1<<20) }},
		{"io-read", "50m", "bytes a second from the disk", func(l *Limits, v string) error { return setBytes(&l.Read.Bytes, v, 4096) }},
		{"io-write", "50m", "bytes a second to the disk", func(l *Limits, v string) error { return setBytes(&l.Write.Bytes, v, 4096) }},
		{"io-read-ops", "1000", "reads a second", func(l *Limits, v string) error { return setOperations(&l.Read.Operations, v) }},
		{"io-write-ops", "1000", "writes a second", func(l *Limits, v string) error { return setOperations(&l.Write.Operations, v) }},
	}
}

func reserveKnobs() []knob {
	return []knob{
		{"memory", "256m", "memory that the kernel takes back last", func(l *Limits, v string) error {
			return setBytes(&l.Reserve.Memory, v, 1<<20)
		}},
		{"cpu", "2", "its weight when all want the processors, 1 being the usual one", func(l *Limits, v string) error {
			return setShare(&l.Reserve.CPUs, v, 0.01, 100)
		}},
		{"io", "200", "its weight when all want the disk, 100 being the usual one", func(l *Limits, v string) error {
			return setCount(&l.Reserve.IO, v, 1, 1000)
		}},
	}
}

// Below these not even an empty program starts.
const (
	leastMemory    = 4 << 20
	leastProcesses = 4
)

func knobsOf(topic Topic) []knob {
	if topic == ReserveTopic {
		return reserveKnobs()
	}
	return limitKnobs()
}

func findKnob(knobs []knob, key string) (knob, error) {
	var known []string
	for _, k := range knobs {
		if k.key == key {
			return k, nil
		}
		known = append(known, k.key)
	}
	e := Errorf(Usage, "%q cannot be set here", key)
	for _, name := range known {
		if Near(key, name) {
			return knob{}, e.WithHint("did you mean %s?", name)
		}
	}
	return knob{}, e.WithHint("known are %s", strings.Join(known, ", "))
}

func setBytes(to *int64, value string, least int64) error {
	n, err := parseBytes(value)
	if err == nil && n < least {
		err = Errorf(Usage, "%s is too little: the least is %s", value, Bytes(least))
	}
	*to = n
	return err
}

func setOperations(to *int64, value string) error {
	n := 0
	err := setCount(&n, value, 1, math.MaxInt32)
	*to = int64(n)
	return err
}

func setCount(to *int, value string, least, most int) error {
	n, err := strconv.Atoi(value)
	if err != nil || n < least || n > most {
		return Errorf(Usage, "%q is not a number from %d to %d", value, least, most)
	}
	*to = n
	return nil
}

func setShare(to *float64, value string, least, most float64) error {
	f, err := strconv.ParseFloat(value, 64)
	if err != nil || !(f >= least && f <= most) {
		return Errorf(Usage, "%q is not a number from %g to %g", value, least, most)
	}
	*to = f
	return nil
}

// setCPUSet takes the kernel's list format: "0-3,8".
func setCPUSet(l *Limits, value string) error {
	for part := range strings.SplitSeq(value, ",") {
		first, last, isRange := strings.Cut(part, "-")
		a, err := strconv.ParseUint(first, 10, 16)
		b := a
		if err == nil && isRange {
			b, err = strconv.ParseUint(last, 10, 16)
		}
		if err != nil || b < a {
			return Errorf(Usage, "%q is not a list of processors: write it like 0-1,3", value)
		}
	}
	l.CPUSet = value
	return nil
}

// parseBytes reads "512m", "1.5g", "64MiB" or a number of bytes; units are powers of 1024.
func parseBytes(text string) (int64, error) {
	bad := Errorf(Usage, "%q is not an amount of bytes: write it like 512m or 1.5g", text)
	digits := strings.TrimRight(strings.ToLower(text), "kmgtib")
	unit := strings.TrimSuffix(strings.TrimSuffix(strings.ToLower(text[len(digits):]), "b"), "i")
	power := slices.Index([]string{"", "k", "m", "g", "t"}, unit)
	f, err := strconv.ParseFloat(digits, 64)
	if err != nil || power < 0 || f < 0 {
		return 0, bad
	}
	f *= math.Pow(1024, float64(power))
	if f >= 1<<50 {
		return 0, bad
	}
	return int64(f), nil
}

// writeBytes spells bytes as parseBytes reads them.
func writeBytes(n int64) string {
	for _, u := range []struct {
		size int64
		name string
	}{{1 << 30, "g"}, {1 << 20, "m"}, {1 << 10, "k"}} {
		if n >= u.size && n%u.size == 0 {
			return strconv.FormatInt(n/u.size, 10) + u.name
		}
	}
	return strconv.FormatInt(n, 10)
}

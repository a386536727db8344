package platform

import (
	"cmp"
	"maps"
	"math"
	"slices"
	"time"
)

// Piece is what can be removed by itself: a layer, or a directory that an app's builds cache things in.
type Piece struct {
	Kind  string    // LayerPiece or CachePiece
	Name  string    // of the layer; of the cache among its app's
	AppID int64     // whose cache it is; 0: the host's
	Apps  []AppName // it is kept for; one that all apps share has none
	Bytes int64     // on the disk
	Need  Need
	Held  bool // somebody works with it now
	Host  bool // kept for the whole host: a stack, a toolchain that was prepared

	Made string        // StackLayer, ToolchainLayer, or empty
	Took time.Duration // what making it took; 0 if nobody knows
	Uses int           // in how many hours it was used; 0 counts as 1
	Used time.Time     // for the last time
	Note string        // what made it, for people; may be empty
}

// The kinds of Piece, and of what the host's layers are made for.
const (
	LayerPiece     = "layer"
	CachePiece     = "build cache"
	StackLayer     = "stack"
	ToolchainLayer = "toolchain"
)

// halfLife is after how long without use a piece is worth half of what it was.
const halfLife = 7 * 24 * time.Hour

// leastRate, in bytes a second, says what making a piece took at least: writing it to a disk.
const leastRate = 50e6

// worth is how many seconds the next builds save by a byte of the piece: what it took to make, times how
// often it was used, by its size, less with each half-life (as GreedyDual-Size-Frequency weighs a cache,
// with age in place of its inflation, so that nothing needs to be remembered between evictions).
func (p Piece) worth(now time.Time) float64 {
	seconds := max(p.Took.Seconds(), float64(p.Bytes)/leastRate)
	age := max(now.Sub(p.Used), 0)
	return seconds * float64(max(p.Uses, 1)) / float64(max(p.Bytes, 4096)) * math.Exp2(-age.Hours()/halfLife.Hours())
}

// Worth is how many seconds the next builds save by a byte of the layer, less the longer it is unused.
func (u LayerUsage) Worth(now time.Time) float64 {
	return Piece{Bytes: u.Bytes, Took: u.Took, Uses: u.Uses, Used: u.Used}.worth(now)
}

// Choose tells which pieces go to reach the goal, in order: what nobody needs; then, if the goal allows,
// what next builds need, from the apps that have more than their fair share; then that of the others.
// What is worth least goes first.
func (g Goal) Choose(all []Piece, now time.Time) (out []Piece) {
	list := slices.DeleteFunc(slices.Clone(all), func(p Piece) bool { return !g.may(p, now) })
	slices.SortStableFunc(list, func(a, b Piece) int {
		return cmp.Or(cmp.Compare(a.Need, b.Need), cmp.Compare(a.worth(now), b.worth(now)), cmp.Compare(a.Name, b.Name))
	})
	if g.Bytes == 0 {
		return list
	}
	cached := slices.IndexFunc(list, func(p Piece) bool { return p.Need == Cached })
	if cached < 0 {
		cached = len(list)
	}
	out, left := untilFreed(list[:cached], g.Bytes)
	if left <= 0 {
		return out
	}
	more, _ := untilFreed(byShare(list[cached:], left), left)
	return append(out, more...)
}

// may tells whether the goal lets the piece go.
func (g Goal) may(p Piece, now time.Time) bool {
	mine := g.App == "" || slices.Equal(p.Apps, []AppName{g.App})
	return mine && !p.Held && p.Need != Needed && (p.Need != Cached || g.Caches) && now.Sub(p.Used) >= g.MinAge
}

// untilFreed is the start of a list that sums up to so many bytes, and how many are missing then.
func untilFreed(list []Piece, bytes int64) (start []Piece, left int64) {
	for i, p := range list {
		if bytes <= 0 {
			return list[:i:i], bytes
		}
		bytes -= p.Bytes
	}
	return list[:len(list):len(list)], bytes
}

// byShare puts pieces first that only those above their fair share have, as long as they are above it; each
// half keeps its order. The host itself counts as one more app.
func byShare(list []Piece, bytes int64) []Piece {
	uses := map[AppName]float64{}
	room := -float64(bytes)
	for _, p := range list {
		room += float64(p.Bytes)
		p.charge(uses, 1)
	}
	fair := fairShare(uses, room)
	var first, rest []Piece
	for _, p := range list {
		if slices.ContainsFunc(p.sharers(), func(app AppName) bool { return uses[app] <= fair }) {
			rest = append(rest, p)
			continue
		}
		first = append(first, p)
		p.charge(uses, -1)
	}
	return append(first, rest...)
}

// sharers are those who have the piece; the host is the one without a name.
func (p Piece) sharers() []AppName {
	if p.Host || len(p.Apps) == 0 {
		return append(slices.Clone(p.Apps), "")
	}
	return p.Apps
}

// charge adds to what each sharer has its part of the piece, sign times.
func (p Piece) charge(uses map[AppName]float64, sign float64) {
	all := p.sharers()
	for _, app := range all {
		uses[app] += sign * float64(p.Bytes) / float64(len(all))
	}
}

// fairShare is what each app may have of the room so that none that wants less gets less (max-min
// fairness): those below it keep what they have, the others get equal parts of the rest.
func fairShare(uses map[AppName]float64, room float64) float64 {
	left := len(uses)
	for _, use := range slices.Sorted(maps.Values(uses)) {
		if part := room / float64(left); use > part {
			return max(part, 0)
		}
		room -= use
		left--
	}
	return math.Inf(1)
}

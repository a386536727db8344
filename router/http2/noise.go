package http2

import "time"

// Some frames cost us more than the client: what makes us answer (PING, SETTINGS), what starts work and throws it
// away (RST_STREAM: "rapid reset"; also what provokes a reset of ours), and what says nothing (empty DATA,
// PRIORITY, updates of windows nobody waits for). Each is fine in measure. A client has an account for it, which
// fills with time and with what it is answered, and is sent away with ENHANCE_YOUR_CALM once it is empty.
const (
	// noiseMost lets a browser leave a page with all its 100 requests open, twice.
	noiseMost = 1000 // unless Limits.Noise says otherwise
	// noiseRate comes back in a second: someone who drags a map cancels some 20 pictures a second.
	noiseRate = 100
	// noiseGranted comes back with every DATA frame and every answer we send. A client that measures the line
	// (gRPC does) pings, and updates two windows, once for each.
	noiseGranted = 4

	costFrame = 1 // a frame that says nothing, or that we must answer
	costReset = 4 // a request that was begun and thrown away
	costError = 4 // a request that is wrong
)

// noise is the account. It belongs to the reader.
type noise struct {
	most int
	left int
	seen int // of conn.granted
	at   time.Time
}

func newNoise(most int) noise { return noise{most: most, left: most, at: time.Now()} }

// spend takes cost off; granted is how much was sent since the beginning.
func (n *noise) spend(cost, granted int) error {
	if n.left -= cost; n.left > 0 {
		return nil
	}
	n.left += (granted - n.seen) * noiseGranted
	n.seen = granted
	now := time.Now()
	back := int(min(now.Sub(n.at), time.Minute) * noiseRate / time.Second)
	if back > 0 {
		n.left, n.at = n.left+back, now
	}
	n.left = min(n.left, n.most)
	if n.left > 0 {
		return nil
	}
	return connError{codeCalm, "too many frames that ask for work and want no answer"}
}

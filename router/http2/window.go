package http2

// window is what a client may still send (RFC 9113, 5.2): of one stream, or of all.
type window struct {
	left   int // until the client must wait
	size   int // what left comes back to
	most   int // and grows to; of all streams together, what lend grows it to
	owed   int // read, and not yet given back
	passed int // bytes since it last grew
}

// spend takes n arriving bytes off.
func (w *window) spend(n int) bool {
	if n > w.left {
		return false
	}
	w.left -= n
	return true
}

// credit gives n bytes back, and tells how much to announce: nothing yet while less than half is owed. A window
// that was passed twice is too small for how fast it is read, and doubles.
func (w *window) credit(n int) int {
	w.owed += n
	w.passed += n
	if w.owed < w.size/2 {
		return 0
	}
	more := w.owed
	w.owed = 0
	if w.passed >= 2*w.size && w.size < w.most {
		grow := min(w.size, w.most-w.size)
		w.size, w.passed = w.size+grow, 0
		more += grow
	}
	w.left += more
	return more
}

// lend makes room for a stream that is read, in the window of all: bodies that wait for their turn, unread, may have
// filled it, and would hold up the one whose end they wait for. It gives back what is owed, and lets the window grow
// up to promised, which is what the streams' own windows let the client send anyway: the client may then always send
// something of a stream of which nothing is left unread. It tells how much to announce.
func (w *window) lend(promised int) int {
	if w.left >= frameSize {
		return 0
	}
	more := w.owed
	w.owed = 0
	if w.left+more < frameSize && w.size < promised {
		grow := min(initWindow, promised-w.size)
		w.size += grow
		more += grow
	}
	w.left += more
	return more
}

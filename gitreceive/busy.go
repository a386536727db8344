package gitreceive

// Busy counts the sessions that do something, and the connections that are about to have their first one.
// Sessions that only watch, until their user has seen enough, are not among them.
func (d *Server) Busy() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	n := d.working
	for c := range d.conns {
		if !c.isSettled() {
			n++
		}
	}
	return n
}

// work counts a session in that is not to be cut short. The function counts it out.
func (d *Server) work() (done func()) {
	d.add(1)
	return func() { d.add(-1) }
}

func (d *Server) add(n int) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.working += n
}

// isSettled tells whether a session has begun on the connection, now or earlier.
func (c *connection) isSettled() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.served
}

// settle says that the session that was begun on the connection is counted, or need not be.
func (c *connection) settle() {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.served = true
}

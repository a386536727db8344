package platform

// LookAtClock has the timekeeper look at the clock soon.
func (p *Platform) LookAtClock() { p.cron.kick("") }

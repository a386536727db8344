package platform

// patienceKnobs are about clients that have not asked yet. Each has a value for the whole host, which holds as long as
// nobody knows whose app is meant, and may have another one for an app, which holds where that is known.
func patienceKnobs() []edgeKnob {
	return []edgeKnob{
		{"client-header-timeout", false, "to send the head of a request",
			func(s *edgeSettings, v string) error {
				err := setDuration(&s.Intake.HeaderTimeout, v)
				s.Traffic.HeadWait = s.Intake.HeaderTimeout
				return err
			},
			func(s edgeSettings) string { return spellDuration(s.Intake.HeaderTimeout) }},
		{"keepalive-timeout", false, "between two requests of a connection",
			func(s *edgeSettings, v string) error {
				err := setDuration(&s.Intake.KeepAlive, v)
				s.Traffic.KeepAlive = s.Intake.KeepAlive
				return err
			},
			func(s edgeSettings) string { return spellDuration(s.Intake.KeepAlive) }},
	}
}

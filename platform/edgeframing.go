package platform

import "strconv"

// framingKnobs are what bounds the framing of messages, which hardly anybody needs to change.
func framingKnobs() []edgeKnob {
	return []edgeKnob{
		{"linger", true, "to listen to a client that still sends what was answered; 0: not at all",
			func(s *edgeSettings, v string) error { return setDurationOrNone(&s.Intake.Linger, v) },
			func(s edgeSettings) string { return spellDuration(max(s.Intake.Linger, 0)) }},
		hostCount("max-linger", "bytes that are dropped meanwhile", func(s *edgeSettings) *int { return &s.Intake.MaxLinger }, 64<<10, 1<<40),
		hostCount("max-continued", "frames of one head over HTTP/2", func(s *edgeSettings) *int { return &s.Intake.MaxContinued }, 5, 10_000),
		hostCount("max-stream-window", "bytes of a body over HTTP/2 that wait unread", func(s *edgeSettings) *int { return &s.Intake.StreamWindow }, 64<<10, 64<<20),
		hostCount("max-window", "bytes of all bodies of such a connection that do", func(s *edgeSettings) *int { return &s.Intake.Window }, 64<<10, 1<<30),
		hostCount("http3-window", "bytes of a body over HTTP/3 that wait unread", func(s *edgeSettings) *int { return &s.Intake.QUICWindow }, 64<<10, 64<<20),
		hostCount("max-chunk-line", "bytes of the line before a chunk of a body", func(s *edgeSettings) *int { return &s.Intake.MaxChunkLine }, 20, 64<<10),
		{"max-extensions", true, "bytes of all chunk extensions of a body; 0: none",
			func(s *edgeSettings, v string) error { return setOrNone(&s.Intake.MaxExtensions, v, 1<<30) },
			func(s edgeSettings) string { return strconv.Itoa(max(s.Intake.MaxExtensions, 0)) }},
		hostCount("max-trailer", "bytes of the fields behind a body over HTTP/1", func(s *edgeSettings) *int { return &s.Intake.MaxTrailer }, 256, 1<<20),
		hostCount("max-answer-head", "bytes of the head of an answer of an instance", func(s *edgeSettings) *int { return &s.Intake.MaxAnswerHead }, 8<<10, 16<<20),
	}
}

package verbs

import "paas/platform"

// why is every verb that explains how it stands.
func why() []Verb {
	type p = platform.Platform
	return []Verb{
		define(Verb{Name: "why", Access: View, Summary: "Explain how an app is, and what to type about it",
			Example: "why blog", Another: "why --json"}, (*p).Why),
		define(Verb{Name: "doctor", Access: View, Summary: "Check the host, or an app; status 1 if something fails",
			Example: "doctor", Another: "doctor blog --json"}, (*p).Doctor),
	}
}

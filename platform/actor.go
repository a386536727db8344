package platform

// Actor is who asks. A door makes it from a proven identity.
type Actor struct {
	Name        string // the key's name, or "root" on the local socket
	Fingerprint string // SHA256:… of the proven key; empty on the local socket
	Admin       bool
}

package conformance

// report is what the tests found out, in Markdown.
var report struct {
	validation, podman string
}

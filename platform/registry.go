package platform

import (
	"regexp"
	"strconv"
	"strings"
)

// Manifest is one document of a registry: what a tag or a digest of a repository leads to.
type Manifest struct {
	Digest    string // "sha256:…" over Body
	MediaType string
	Body      []byte
	Subject   string // digest of the manifest that it is about; empty for most
}

// Descriptor is how a manifest names content (OCI image-spec, descriptor.md).
type Descriptor struct {
	MediaType    string            `json:"mediaType"`
	Digest       string            `json:"digest"`
	Size         int64             `json:"size"`
	ArtifactType string            `json:"artifactType,omitempty"`
	Annotations  map[string]string `json:"annotations,omitempty"`
}

// Repository names a place for images: an app's own is called like the app or below it (blog,
// blog/worker); what belongs to no app is below library.
type Repository string

// Library is the first part of the names of repositories that belong to no app.
const Library = "library"

// MaxRepository is how long a repository's name may be: with the registry's hostname it stays below the
// 255 characters that clients allow, and each slash may cost a file name's character.
const MaxRepository = 200

var repositoryName = regexp.MustCompile(`^[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*(/[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*)*$`)

// ParseRepository accepts the names of the OCI distribution-spec ("Pulling manifests"), at most
// MaxRepository bytes.
func ParseRepository(s string) (Repository, error) {
	if len(s) > MaxRepository || !repositoryName.MatchString(s) {
		return "", Errorf(Usage, "%q is not the name of a repository: use lower-case letters, digits and dashes, with slashes between parts", s)
	}
	return Repository(s), nil
}

// App is the app whose repository it is, "" for the library.
func (r Repository) App() AppName {
	first, _, _ := strings.Cut(string(r), "/")
	if first == Library {
		return ""
	}
	return AppName(first)
}

// ReleaseTag is the number of the release that a tag like v12 names, 0 for any other tag.
func ReleaseTag(tag string) int {
	digits, ok := strings.CutPrefix(tag, "v")
	n, err := strconv.Atoi(digits)
	if !ok || err != nil || n < 1 || "v"+strconv.Itoa(n) != tag {
		return 0
	}
	return n
}

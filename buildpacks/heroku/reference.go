// Package heroku knows buildpacks as Heroku has them: what they are called, how their programs are run, and
// what they answer (Heroku Dev Center, "Buildpack API").
package heroku

import (
	"net/url"
	"path"
	"regexp"
	"strings"

	"paas/buildpacks/plan"
	"paas/platform"
)

// Buildpack is what a name or URL stands for. Exactly one of Ours, Spare and Git.URL says something.
type Buildpack struct {
	Name  string         // as it was written
	Ours  string         // the builder of our own that takes its place, as plan names it
	Spare bool           // what it does is done here without it
	Git   plan.Buildpack // where it is fetched from
}

const maxName = 500 // bytes

// Parse reads "heroku/nodejs", "python", "https://host/org/buildpack.git#branch" or the name of an image of a
// Cloud Native Buildpack. What has no meaning is a *platform.Error of kind Usage.
func Parse(name string) (Buildpack, error) {
	b := Buildpack{Name: name}
	if len(name) > maxName || name == "" {
		return b, noBuildpack(name)
	}
	place, ref, _ := strings.Cut(name, "#")
	org, repo, isURL := split(place)
	if b.Ours = ours(org, repo); b.Ours != "" {
		return b, nil
	}
	if b.Spare = spare(org, repo); b.Spare {
		return b, nil
	}
	if isURL {
		var err error
		b.Git, err = parseGit(name, place, ref)
		return b, err
	}
	if org != "heroku" && org != "heroku-community" || !plainRepo.MatchString(repo) {
		return b, noBuildpack(name)
	}
	b.Git = plan.Buildpack{URL: "https://github.com/heroku/heroku-buildpack-" + repo, Ref: ref}
	return b, checkRef(name, ref)
}

var plainRepo = regexp.MustCompile(`^[a-z0-9][a-z0-9-]*$`)

func noBuildpack(name string) error {
	if len(name) > 80 {
		name = name[:80] + "…"
	}
	return platform.Errorf(platform.Usage, "there is no buildpack %q", name).
		WithHint("write a name such as heroku/nodejs, or the URL of its git repository, maybe with #branch")
}

// split finds who made a buildpack and how it is called, in lower case and without what such names usually
// begin and end with.
func split(place string) (org, repo string, isURL bool) {
	rest := place
	for _, scheme := range []string{"urn:cnb:registry:", "urn:cnb:builder:", "docker://"} {
		rest = strings.TrimPrefix(rest, scheme)
	}
	if u, err := url.Parse(rest); err == nil && u.Scheme != "" {
		rest, isURL = strings.Trim(u.Path, "/"), true
	}
	rest = strings.TrimSuffix(strings.ToLower(rest), ".git")
	org, repo = path.Base(path.Dir(rest)), path.Base(rest)
	if !isURL {
		repo, _, _ = strings.Cut(repo, "@") // a version or digest
		repo, _, _ = strings.Cut(repo, ":")
	}
	if org == "." {
		org = ""
	}
	for _, prefix := range []string{"heroku-", "cnb-", "buildpack-", "buildpacks-"} {
		repo = strings.TrimPrefix(repo, prefix)
	}
	return org, repo, isURL
}

func parseGit(name, place, ref string) (plan.Buildpack, error) {
	u, err := url.Parse(place)
	if err != nil || u.Path == "" || u.Scheme != "file" && u.Host == "" {
		return plan.Buildpack{}, noBuildpack(name)
	}
	switch u.Scheme {
	case "http", "https", "git", "file":
	case "ssh", "git+ssh":
		return plan.Buildpack{}, platform.Errorf(platform.Usage, "buildpacks are not fetched over SSH").
			WithHint("write https:// in place of ssh://: no key of anybody is in builds")
	default:
		return plan.Buildpack{}, noBuildpack(name)
	}
	if u.User != nil {
		return plan.Buildpack{}, platform.Errorf(platform.Usage, "the buildpack's URL has a user name or password in it, which logs would show").
			WithHint("use a repository that can be read without one")
	}
	if strings.HasSuffix(u.Path, ".tgz") || strings.HasSuffix(u.Path, ".tar.gz") {
		return plan.Buildpack{}, platform.Errorf(platform.Usage, "%s is an archive; buildpacks are fetched from git repositories", place)
	}
	return plan.Buildpack{URL: u.String(), Ref: ref}, checkRef(name, ref)
}

// plainRef is what a ref may be called (git-check-ref-format(1)), less what nobody uses.
var plainRef = regexp.MustCompile(`^[A-Za-z0-9_][A-Za-z0-9_./+-]*$`)

func checkRef(name, ref string) error {
	if ref == "" || plainRef.MatchString(ref) && !strings.Contains(ref, "..") && !strings.HasSuffix(ref, ".lock") {
		return nil
	}
	return noBuildpack(name)
}

// Note is what the pusher should know about a buildpack that is not fetched, or nothing.
func (b Buildpack) Note() string {
	switch {
	case b.Spare:
		return b.Name + " is not fetched: what it does is done for every app here."
	case b.Ours != "":
		return b.Name + " is not fetched: our own buildpack for " + plan.Plan{Builder: b.Ours}.Language() + " takes its place."
	}
	return ""
}

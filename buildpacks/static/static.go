// Package static plans sites that are nothing but files, and serves them.
package static

import (
	"encoding/json"
	"fmt"
	"maps"
	"path"
	"regexp"
	"slices"
	"strings"

	"paas/buildpacks/plan"
	"paas/buildpacks/source"
	"paas/platform"
)

const (
	herokuFile = "static.json" // of Heroku's buildpack for static sites
	cloudFile  = "Staticfile"  // of Cloud Foundry's
	marker     = ".static"     // an empty file that says: this is a site
	maxText    = 256 << 10
)

// Site is how a site is served. Paths are relative to the app.
type Site struct {
	Root      string // directory of what is served, "." for the app itself
	Fallback  string // file below Root for pages that do not exist, answered with 200; "" for none
	ErrorPage string // file below Root for pages that do not exist, answered with 404; "" means 404.html
	CleanURLs bool   // /about is about.html, as it also is unless PlainURLs says otherwise
	PlainURLs bool

	Detected string   // the file that decided
	Warnings []string // what the file asks for and does not get
}

// Find tells whether and how the tree is a site. A site whose settings name its root needs not have it
// yet: a build may make it.
func Find(src *source.Tree) (Site, bool, error) {
	site, ok, err := find(src)
	if ok && err == nil {
		site.Warnings = append(site.Warnings, ruleProblems(src, site.Root)...)
	}
	return site, ok, err
}

func find(src *source.Tree) (Site, bool, error) {
	if src.Has(herokuFile) {
		site, err := fromHeroku(src)
		return site, true, err
	}
	if src.Has(cloudFile) {
		site, err := fromCloud(src)
		return site, true, err
	}
	if file, ok := src.First("index.html", "public/index.html", "dist/index.html", marker); ok {
		return Site{Root: path.Dir(file), Detected: file}, true, nil
	}
	return Site{}, false, nil
}

// ruleProblems are the lines of the site's rules that will not be followed.
func ruleProblems(src *source.Tree, root string) []string {
	redirects, _ := src.Head(path.Join(root, redirectsFile), maxRules) // a missing one is empty
	headers, _ := src.Head(path.Join(root, headersFile), maxRules)
	_, wrong := parseRedirects(string(redirects))
	_, more := parseHeaders(string(headers))
	all := append(wrong, more...)
	const told = 10
	if len(all) > told {
		all = append(all[:told], "And so on: there are more such lines.")
	}
	return all
}

// Declared tells whether a file says in so many words that the tree is a site.
func Declared(src *source.Tree) bool {
	_, ok := src.First(herokuFile, cloudFile, marker)
	return ok
}

// Plan plans a site that needs no build.
func Plan(site Site) plan.Plan {
	p := plan.Plan{
		Builder:  plan.Static,
		Detected: site.Detected,
		Steps:    []plan.Step{{Name: "app", Files: []string{"/"}}},
	}
	site.AddTo(&p)
	return p
}

// AddTo makes the plan serve the site.
func (s Site) AddTo(p *plan.Plan) {
	p.Toolchains = append(p.Toolchains, plan.Toolchain{Name: "static"})
	p.Processes = map[platform.ProcessType]string{platform.Web: s.Command()}
	p.Warnings = append(p.Warnings, s.Warnings...)
}

// Command is the command line that serves the site; Main reads it.
func (s Site) Command() string {
	command := "paas static --root " + s.Root
	if s.Fallback != "" {
		command += " --fallback " + s.Fallback
	}
	if s.ErrorPage != "" {
		command += " --error-page " + s.ErrorPage
	}
	if s.CleanURLs {
		command += " --clean-urls"
	}
	if s.PlainURLs {
		command += " --clean-urls=false"
	}
	return command
}

// herokuSettings is what matters of a static.json (the README of Heroku's buildpack-static).
type herokuSettings struct {
	Root      string                     `json:"root"`
	CleanURLs *bool                      `json:"clean_urls"`
	ErrorPage string                     `json:"error_page"`
	Routes    map[string]string          `json:"routes"`
	Rest      map[string]json.RawMessage `json:"-"`
}

func fromHeroku(src *source.Tree) (Site, error) {
	text, err := src.Read(herokuFile, maxText)
	if err != nil {
		return Site{}, err
	}
	settings := herokuSettings{Root: "public_html"}
	if err := source.Decode(herokuFile, text, &settings); err != nil {
		return Site{}, err
	}
	if err := source.Decode(herokuFile, text, &settings.Rest); err != nil {
		return Site{}, err
	}
	site := Site{Root: settings.Root, ErrorPage: settings.ErrorPage, Detected: herokuFile}
	if settings.CleanURLs != nil {
		site.CleanURLs, site.PlainURLs = *settings.CleanURLs, !*settings.CleanURLs
	}
	site.route(settings.Routes)
	site.ignore(settings.Rest)
	return site.checked()
}

// route takes over the one route that a file server can serve: everything to one page.
func (s *Site) route(routes map[string]string) {
	for _, pattern := range slices.Sorted(maps.Keys(routes)) {
		if pattern == "/**" {
			s.Fallback = strings.TrimPrefix(routes[pattern], "/")
			continue
		}
		s.Warnings = append(s.Warnings, fmt.Sprintf("static.json: the route %.40q is left out; only \"/**\" is served.", pattern))
	}
}

func (s *Site) ignore(settings map[string]json.RawMessage) {
	for _, name := range []string{"headers", "https_only", "proxies", "redirects", "canonical_host"} {
		if _, ok := settings[name]; ok {
			s.Warnings = append(s.Warnings, "static.json: "+name+" has no effect here.")
		}
	}
}

// fromCloud reads "name: value" lines (Cloud Foundry's documentation of the Staticfile buildpack).
func fromCloud(src *source.Tree) (Site, error) {
	text, err := src.Read(cloudFile, maxText)
	if err != nil {
		return Site{}, err
	}
	site := Site{Detected: cloudFile}
	for line := range strings.Lines(string(text)) {
		name, value, ok := strings.Cut(line, ":")
		if name = strings.TrimSpace(name); ok && !strings.HasPrefix(name, "#") {
			site.set(name, strings.Trim(strings.TrimSpace(value), `"'`))
		}
	}
	if site.Root == "" {
		site.Root = guess(src)
	}
	return site.checked()
}

func (s *Site) set(name, value string) {
	switch name {
	case "root":
		s.Root = value
	case "pushstate":
		if value == "enabled" || value == "true" {
			s.Fallback = "index.html"
		}
	case "index_fallback", "fallback":
		s.Fallback = strings.TrimPrefix(value, "/")
		if value == "true" {
			s.Fallback = "index.html"
		}
	case "directory", "ssi", "host_dot_files", "location_include", "force_https", "http_strict_transport_security":
		s.Warnings = append(s.Warnings, "Staticfile: "+name+" has no effect here.")
	}
}

// guess is the directory with the site's first page.
func guess(src *source.Tree) string {
	file, ok := src.First("index.html", "public/index.html", "dist/index.html")
	if !ok {
		return "."
	}
	return path.Dir(file)
}

// word is what needs no quotes in a command line and cannot be taken for an option.
var word = regexp.MustCompile(`^[A-Za-z0-9_.][A-Za-z0-9_./@+-]*$`)

// checked refuses paths that leave the app or would need quotes.
func (s Site) checked() (Site, error) {
	var err error
	if s.Root, err = s.inside("root", s.Root); err != nil {
		return s, err
	}
	for _, file := range []*string{&s.Fallback, &s.ErrorPage} {
		if *file == "" {
			continue
		}
		if *file, err = s.inside("page", *file); err != nil {
			return s, err
		}
	}
	return s, nil
}

func (s Site) inside(what, name string) (string, error) {
	name = strings.TrimPrefix(name, "/")
	if name == "" {
		return ".", nil
	}
	clean, ok := source.Inside("", name)
	if !ok || clean != "" && !word.MatchString(clean) {
		return "", platform.Errorf(platform.Failed, "%s: the %s %.60q is not a path inside the app", s.Detected, what, name).
			WithHint("use a relative path of letters, digits, dots, dashes and slashes")
	}
	if clean == "" {
		return ".", nil
	}
	return clean, nil
}

// Missing is an error when the tree has nothing where the site should be.
func (s Site) Missing(src *source.Tree) error {
	if src.IsDir(s.Root) {
		return nil
	}
	return platform.Errorf(platform.Failed, "%s says that the site is in %s, which is not there", s.Detected, s.Root).
		WithHint("commit the directory, or correct the root in %s", s.Detected)
}

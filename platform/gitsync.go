package platform

import (
	"context"
	"fmt"
	"io"
	"net/url"
	"regexp"
	"strings"
)

// GitHost is what is known of a git server that code is fetched from.
type GitHost struct {
	Host     string // "git.example.org", with a port if it is not the usual one
	User     string // "" without a login
	Password string
	Keys     string // its SSH host keys, lines of authorized_keys without options
}

// GitHosts is the part of the Store that keeps them.
type GitHosts interface {
	// GitHost is zero but for its name for a server that nobody said anything of.
	GitHost(ctx context.Context, host string) (GitHost, error)
	GitHosts(ctx context.Context) ([]GitHost, error) // by name
	// SetGitHost stores h in place of what was known; with neither login nor keys it is forgotten.
	SetGitHost(ctx context.Context, h GitHost) error
}

// Origin is where code is to be fetched from.
type Origin struct {
	URL     string
	Ref     string  // a branch, a tag or a full commit id; "": what the server's HEAD is
	Host    GitHost // what is known of the server
	Private bool    // addresses that are not of the public internet, and this machine's files, may be reached
	Room    int64   // bytes that may come
}

// Fetched is what was found there.
type Fetched struct {
	Commit string // hex id
	Branch string // that Ref is, or that HEAD is on; "" for a tag or a commit
	Before string // where the app's branch was
}

// Fetcher brings code from other git servers; the git repositories do.
type Fetcher interface {
	// Fetch brings the commit with all that it is made of, checked as a push is, and calls deploy, which may be nil,
	// with it. Only when that returns nil do the objects become part of the app's repository, and does its branch
	// move there: the one that branch says for what was fetched. It holds up pushes to the app. What the server does
	// wrong is of kind Failed, a place that may not be reached of kind Denied.
	Fetch(ctx context.Context, app App, o Origin, branch func(Fetched) string, deploy func(f Fetched, source Tree) error) (Fetched, error)
	// HostKeys asks an SSH server for its key: lines as in GitHost.
	HostKeys(ctx context.Context, host string) (string, error)
	// DeployKey is the public key that the platform shows SSH servers, as a line of authorized_keys.
	DeployKey() (string, error)
}

// SyncGitInput is git:sync, in Dokku's words.
type SyncGitInput struct {
	App     string `arg:"app"`
	URL     string `arg:"url" help:"https://…, ssh://…, git@host:path or git://…; admins also file:///…"`
	Ref     string `arg:"ref" optional:"true" help:"a branch, a tag or a commit; without it, the server's HEAD"`
	Build   bool   `flag:"build" help:"build and deploy it"`
	Changed bool   `flag:"build-if-changes" help:"the same, if it is another commit than the last one"`
	Skip    bool   `flag:"skip-deploy-branch" help:"leave the branch whose pushes deploy as it is"`
}

// Synced is what git:sync did.
type Synced struct {
	App     AppName `json:"app"`
	Commit  string  `json:"commit"`
	Branch  string  `json:"branch"` // of the app's repository
	Before  string  `json:"before,omitempty"`
	Changed bool    `json:"changed"`
	Release int     `json:"release,omitempty"`
	URL     string  `json:"url,omitempty"`
}

// Text implements the verbs' output.
func (s Synced) Text(w io.Writer) error {
	text := fmt.Sprintf("Fetched commit %s as %s of %s; it is not deployed (--build does).", shortCommit(s.Commit), s.Branch, s.App)
	switch {
	case s.Release > 0:
		text = fmt.Sprintf("%s v%d is live with commit %s\n%s", s.App, s.Release, shortCommit(s.Commit), s.URL)
	case !s.Changed:
		text = fmt.Sprintf("No change: %s of %s is commit %s.", s.Branch, s.App, shortCommit(s.Commit))
	}
	_, err := fmt.Fprintln(w, text)
	return err
}

// SyncGit fetches an app's code from another git server, and deploys it if asked to.
func (p *Platform) SyncGit(ctx context.Context, call Call, in SyncGitInput) (Synced, error) {
	app, err := p.find(ctx, in.App)
	if err != nil {
		return Synced{}, err
	}
	if in.Ref != "" && oddBranch(in.Ref) {
		return Synced{}, Errorf(Usage, "%q is not a branch's or a tag's name", in.Ref)
	}
	o, err := p.origin(ctx, call, app, in)
	if err != nil {
		return Synced{}, err
	}
	_, _ = fmt.Fprintf(call.Err, "-----> Fetching %s\n", withoutPassword(in.URL))
	done := Synced{App: app.Name}
	branch := func(f Fetched) string { return p.syncBranch(app, f, in.Skip) }
	deploy := func(f Fetched, source Tree) error {
		if !in.Build && (!in.Changed || f.Before == f.Commit && app.Release != 0) {
			return nil
		}
		r, err := p.Push(ctx, Push{Actor: call.Actor, App: app, Branch: branch(f), Commit: f.Commit, Source: source, Out: call.Err})
		done.Release, done.URL = r.Number, p.URL(app.Name)
		return err
	}
	f, err := p.Fetcher.Fetch(ctx, app, o, branch, deploy)
	if err != nil {
		return Synced{}, err
	}
	done.Commit, done.Before, done.Branch, done.Changed = f.Commit, f.Before, branch(f), f.Commit != f.Before
	if app.DeployBranch != done.Branch {
		err = p.Store.ChangeDeployBranch(context.WithoutCancel(ctx), app.Name, done.Branch)
	}
	if done.Changed {
		call.Audit.Changed(done.Branch, shortCommit(f.Before), shortCommit(f.Commit))
		p.say(Event{Kind: EventSynced, App: app.Name, Release: done.Release, Actor: call.Actor.Name,
			Text: fmt.Sprintf("commit %s was fetched from %s", shortCommit(f.Commit), withoutPassword(in.URL))})
	}
	return done, err
}

// EventSynced is that code was fetched; EventGitHost that a git server was made known or forgotten.
const (
	EventSynced  EventKind = "synced"
	EventGitHost EventKind = "git-host"
)

// syncBranch is which of the app's branches is put on what was fetched.
func (p *Platform) syncBranch(app App, f Fetched, skip bool) string {
	if f.Branch != "" && (!skip || app.DeployBranch == "") {
		return f.Branch
	}
	return branchOf(app)
}

func (p *Platform) origin(ctx context.Context, call Call, app App, in SyncGitInput) (Origin, error) {
	host, err := gitHostOf(in.URL)
	if err != nil {
		return Origin{}, err
	}
	if host == "" && !call.Actor.Admin {
		return Origin{}, Errorf(Denied, "the server's own files are for admins").WithHint("name an https, ssh or git address")
	}
	room, err := p.RoomForPush(ctx, app)
	if err != nil {
		return Origin{}, err
	}
	known, err := p.Store.GitHost(ctx, host)
	return Origin{URL: in.URL, Ref: in.Ref, Host: known, Private: call.Actor.Admin, Room: room}, err
}

// scpLike is git's short form of an SSH address (git-clone(1), "GIT URLS").
var scpLike = regexp.MustCompile(`^(?:[A-Za-z0-9._-]+@)?([A-Za-z0-9.-]+|\[[0-9a-fA-F:]+\]):[^:]`)

// gitHostOf is the server of a git address, with a port if it has one; "" for this machine's files.
func gitHostOf(address string) (string, error) {
	if u, err := url.Parse(address); err == nil && u.Scheme != "" && strings.Contains(address, "://") {
		switch {
		case u.Scheme == "file" && u.Host == "" && strings.HasPrefix(u.Path, "/"):
			return "", nil
		case (u.Scheme == "https" || u.Scheme == "http" || u.Scheme == "ssh" || u.Scheme == "git") && u.Hostname() != "":
			return strings.ToLower(u.Host), nil
		}
	} else if m := scpLike.FindStringSubmatch(address); m != nil {
		return strings.ToLower(m[1]), nil
	}
	return "", Errorf(Usage, "%q is not a git address", withoutPassword(address)).
		WithHint("write it like https://git.example.org/acme/blog.git or git@git.example.org:acme/blog.git")
}

// withoutPassword is an address that may be shown and written down.
func withoutPassword(address string) string {
	u, err := url.Parse(address)
	if err != nil || u.User == nil {
		return address
	}
	if _, has := u.User.Password(); has {
		u.User = url.User(u.User.Username())
	}
	return u.String()
}

func oddBranch(name string) bool {
	return strings.Contains(name, "..") || strings.Contains(name, "//") || strings.HasSuffix(name, "/") ||
		strings.HasSuffix(name, ".") || strings.HasSuffix(name, ".lock") || !branchWord.MatchString(name)
}

// AuthGitInput is git:auth, in Dokku's words.
type AuthGitInput struct {
	Host     string `arg:"host"`
	User     string `arg:"user" optional:"true" help:"without it, the login is removed"`
	Password string `arg:"password" optional:"true" help:"better on standard input, or typed unseen"`
}

// AuthGit stores or removes a login to a git server.
func (p *Platform) AuthGit(ctx context.Context, call Call, in AuthGitInput) (Done, error) {
	host, err := parseRegistry(in.Host)
	if err != nil {
		return Done{}, Errorf(Usage, "%q is not a host: write it like git.example.org or git.example.org:8443", in.Host)
	}
	known, err := p.Store.GitHost(ctx, host)
	if err != nil {
		return Done{}, err
	}
	known.User, known.Password = in.User, in.Password
	said := donef("Removed the login to %s.", host)
	if in.User != "" {
		said = donef("Stored the login of %s to %s.", in.User, host)
	}
	if in.User != "" && in.Password == "" {
		if known.Password, err = givenSecret(call, "Password of "+in.User+", which is not shown: "); err != nil {
			return Done{}, err
		}
	}
	if err := p.Store.SetGitHost(ctx, known); err != nil {
		return Done{}, err
	}
	p.say(Event{Kind: EventGitHost, Actor: call.Actor.Name, Text: strings.TrimSuffix(said.Message, ".")})
	return said, nil
}

// givenSecret is a line of standard input, or one that is typed unseen.
func givenSecret(call Call, prompt string) (string, error) {
	missing := Errorf(Usage, "the password comes on standard input, and there is none").
		WithHint("ssh paas git:auth HOST USER < password-file")
	if call.In == nil {
		return "", missing
	}
	line := ""
	var err error
	if call.Terminal != nil {
		line, err = typeSecret(call, prompt)
	} else {
		var text []byte
		text, err = io.ReadAll(io.LimitReader(call.In, maxConfigValue))
		line, _, _ = strings.Cut(string(text), "\n")
	}
	if line = strings.TrimRight(line, "\r"); err == nil && line == "" {
		err = missing
	}
	return line, err
}

// GitHostInput names a git server.
type GitHostInput struct {
	Host string `arg:"host"`
}

// AllowGitHost trusts the host key that an SSH server shows now. Its fingerprint is for people to compare.
func (p *Platform) AllowGitHost(ctx context.Context, call Call, in GitHostInput) (GitHostView, error) {
	host, err := parseRegistry(in.Host)
	if err != nil {
		return GitHostView{}, Errorf(Usage, "%q is not a host: write it like git.example.org or git.example.org:2222", in.Host)
	}
	known, err := p.Store.GitHost(ctx, host)
	if err != nil {
		return GitHostView{}, err
	}
	if known.Keys, err = p.Fetcher.HostKeys(ctx, host); err != nil {
		return GitHostView{}, err
	}
	if err := p.Store.SetGitHost(ctx, known); err != nil {
		return GitHostView{}, err
	}
	v := known.view()
	p.say(Event{Kind: EventGitHost, Actor: call.Actor.Name, Text: fmt.Sprintf("the host key %s of %s is trusted", v.Fingerprint, host)})
	return v, nil
}

// GitHostView is a git server as people see it.
type GitHostView struct {
	Host        string `json:"host"`
	User        string `json:"user,omitempty"`        // of the login
	Fingerprint string `json:"fingerprint,omitempty"` // of the host key that is trusted
}

func (h GitHost) view() GitHostView {
	v := GitHostView{Host: h.Host, User: h.User}
	if _, fingerprint, err := ParsePublicKey(h.Keys); err == nil {
		v.Fingerprint = fingerprint
	}
	return v
}

// Text implements the verbs' output.
func (v GitHostView) Text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "%s is trusted by its host key %s\n", v.Host, v.Fingerprint)
	return err
}

// GitHostList is git:auth-status.
type GitHostList []GitHostView

// Text implements the verbs' output.
func (l GitHostList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l {
		rows = append(rows, []string{v.Host, v.User, v.Fingerprint})
	}
	return table(w, []string{"HOST", "USER", "HOST KEY"}, rows)
}

// GitHostsInput is git:auth-status.
type GitHostsInput struct {
	Host string `arg:"host" optional:"true" help:"status 3 if nothing is known of it"`
}

// GitHosts lists what is known of git servers, without passwords.
func (p *Platform) GitHosts(ctx context.Context, _ Call, in GitHostsInput) (GitHostList, error) {
	all, err := p.Store.GitHosts(ctx)
	list := GitHostList{}
	for _, h := range all {
		if in.Host == "" || h.Host == strings.ToLower(in.Host) {
			list = append(list, h.view())
		}
	}
	if err == nil && in.Host != "" && len(list) == 0 {
		err = Errorf(NotFound, "nothing is known of %s", in.Host).WithHint("store a login: ssh paas git:auth %s USER < password", in.Host)
	}
	return list, err
}

// PublicKeyLine is git:public-key.
type PublicKeyLine struct {
	Key         string `json:"key"`
	Fingerprint string `json:"fingerprint"`
}

// Text implements the verbs' output.
func (k PublicKeyLine) Text(w io.Writer) error {
	_, err := fmt.Fprintln(w, k.Key)
	return err
}

// DeployKey shows the key that the platform fetches code with over SSH, and makes it when it is asked for first.
func (p *Platform) DeployKey(context.Context, Call, struct{}) (PublicKeyLine, error) {
	line, err := p.Fetcher.DeployKey()
	if err != nil {
		return PublicKeyLine{}, err
	}
	_, fingerprint, err := ParsePublicKey(line)
	return PublicKeyLine{Key: line, Fingerprint: fingerprint}, err
}

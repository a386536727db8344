package platform

import (
	"context"
	"io"
	"regexp"
	"strings"
	"time"
)

// Login is how to come in at another registry.
type Login struct {
	Host      string // "registry.example.org", with a port if it is not the usual one
	User      string
	Secret    string // a password or a token
	CreatedAt time.Time
}

// Logins is the part of the Store that keeps logins to other registries. The file is root's alone.
type Logins interface {
	// SetLogin stores l in place of another one to the same host.
	SetLogin(ctx context.Context, l Login) error
	Logins(ctx context.Context) ([]Login, error) // by host
	RemoveLogin(ctx context.Context, host string) error
}

// dockerHub goes by several names; this is the one that references are resolved to.
const dockerHub = "index.docker.io"

var registryHost = regexp.MustCompile(`^([a-z0-9]([a-z0-9-]*[a-z0-9])?(\.[a-z0-9]([a-z0-9-]*[a-z0-9])?)*|\[[0-9a-f:]+\])(:[0-9]{1,5})?$`)

// parseRegistry accepts a hostname or address with or without a port.
func parseRegistry(s string) (string, error) {
	host := strings.ToLower(strings.TrimSuffix(strings.TrimPrefix(s, "https://"), "/"))
	switch host {
	case "docker.io", "registry-1.docker.io", "hub.docker.com":
		return dockerHub, nil
	}
	if len(host) > 253 || !registryHost.MatchString(host) {
		return "", Errorf(Usage, "%q is not a registry: write its hostname, like registry.example.org or registry.example.com:5000", s)
	}
	return host, nil
}

// LoginInput is registry:login.
type LoginInput struct {
	Host string `arg:"host"`
	User string `arg:"user"`

	PasswordStdin bool `flag:"password-stdin" help:"it is read from there anyway; Docker's and Dokku's users write so"`
}

// Login stores how to come in at a registry; the password comes on standard input.
func (p *Platform) Login(ctx context.Context, call Call, in LoginInput) (Done, error) {
	host, err := parseRegistry(in.Host)
	if err != nil {
		return Done{}, err
	}
	secret := ""
	if call.In != nil && call.Terminal == nil { // a terminal would show it
		if secret, err = firstLine(call.In, 16<<10); err != nil {
			return Done{}, err
		}
	}
	if secret = strings.TrimRight(secret, "\r\n"); secret == "" {
		return Done{}, Errorf(Usage, "the password comes on standard input, and there is none").
			WithHint("ssh paas registry:login %s %s < password-file", in.Host, in.User)
	}
	err = p.Store.SetLogin(ctx, Login{Host: host, User: in.User, Secret: secret, CreatedAt: p.Now()})
	return donef("Stored the login of %s to %s.", in.User, host), err
}

// LogoutInput is registry:logout.
type LogoutInput struct {
	Host string `arg:"host"`
}

// Logout forgets a login.
func (p *Platform) Logout(ctx context.Context, _ Call, in LogoutInput) (Done, error) {
	host, err := parseRegistry(in.Host)
	if err != nil {
		return Done{}, err
	}
	err = p.Store.RemoveLogin(ctx, host)
	return donef("Forgot the login to %s.", host), withHint(err, "see them: ssh paas registry:list")
}

// LoginView is a login as people see it.
type LoginView struct {
	Host      string    `json:"host"`
	User      string    `json:"user"`
	CreatedAt time.Time `json:"created_at"`
}

// LoginList is registry:list.
type LoginList []LoginView

// Text implements the verbs' output.
func (l LoginList) Text(w io.Writer) error {
	var rows [][]string
	for _, v := range l {
		rows = append(rows, []string{v.Host, v.User, v.CreatedAt.Format(time.RFC3339)})
	}
	return table(w, []string{"REGISTRY", "USER", "SINCE"}, rows)
}

// ListLogins shows where there is a login, without its secret.
func (p *Platform) ListLogins(ctx context.Context, _ Call, _ struct{}) (LoginList, error) {
	logins, err := p.Store.Logins(ctx)
	list := LoginList{}
	for _, l := range logins {
		list = append(list, LoginView{l.Host, l.User, l.CreatedAt})
	}
	return list, err
}

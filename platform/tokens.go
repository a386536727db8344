package platform

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash/crc32"
	"io"
	"strconv"
	"strings"
	"time"
)

// Token lets a program in, with less than a person's key may do.
type Token struct {
	Name      string    // unique
	Hash      string    // hex SHA-256 of the secret; the secret itself is kept nowhere
	App       AppName   // the only app it is for; "" for all
	ReadOnly  bool      // it may pull and look, not push and change
	ExpiresAt time.Time // zero for never
	CreatedAt time.Time
}

// Tokens is the part of the Store that keeps API tokens.
type Tokens interface {
	AddToken(ctx context.Context, t Token) error
	Tokens(ctx context.Context) ([]Token, error) // by name
	RemoveToken(ctx context.Context, name string) error
	TokenByHash(ctx context.Context, hash string) (Token, error)
}

// A token's secret is "paas_", 32 random characters and 6 of a checksum over what stands before them, all
// in base 62: scanners of leaked secrets can tell one without asking.
const (
	tokenPrefix  = "paas_"
	tokenRandom  = 32 // characters: 190 bits
	tokenSum     = 6  // enough for 32 bits
	tokenSymbols = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"
)

func newTokenSecret() string {
	var b strings.Builder
	b.WriteString(tokenPrefix)
	for b.Len() < len(tokenPrefix)+tokenRandom {
		var c [1]byte
		_, _ = rand.Read(c[:]) // never fails (crypto/rand)
		if i := int(c[0] & 63); i < len(tokenSymbols) {
			b.WriteByte(tokenSymbols[i])
		}
	}
	return b.String() + tokenChecksum(b.String())
}

// tokenChecksum is CRC-32 (IEEE) in base 62, highest digit first.
func tokenChecksum(s string) string {
	n := crc32.ChecksumIEEE([]byte(s))
	var digits [tokenSum]byte
	for i := len(digits) - 1; i >= 0; i-- {
		digits[i] = tokenSymbols[n%uint32(len(tokenSymbols))]
		n /= uint32(len(tokenSymbols))
	}
	return string(digits[:])
}

// isTokenSecret tells a mistyped secret without looking it up.
func isTokenSecret(s string) bool {
	const end = len(tokenPrefix) + tokenRandom
	return len(s) == end+tokenSum && strings.HasPrefix(s, tokenPrefix) && tokenChecksum(s[:end]) == s[end:]
}

func hashToken(secret string) string {
	sum := sha256.Sum256([]byte(secret))
	return hex.EncodeToString(sum[:])
}

// Token finds the token with the secret. A wrong, revoked or expired one is of kind Unauthorized.
func (p *Platform) Token(ctx context.Context, secret string) (Token, error) {
	wrong := Errorf(Unauthorized, "that API token is not valid (any more)").WithHint("make one: ssh paas tokens:create NAME")
	if !isTokenSecret(secret) {
		return Token{}, wrong
	}
	t, err := p.Store.TokenByHash(ctx, hashToken(secret))
	if KindOf(err) == NotFound || err == nil && t.expired(p.Now()) {
		return Token{}, wrong
	}
	return t, err
}

func (t Token) expired(now time.Time) bool { return !t.ExpiresAt.IsZero() && !now.Before(t.ExpiresAt) }

// OpenRepository is nil when the token may read, or also write, the repository. Repositories of apps
// that are not there are NotFound to those who may see all, and Denied to others.
func (p *Platform) OpenRepository(ctx context.Context, t Token, repo Repository, write bool) error {
	if t.App != "" && t.App != repo.App() {
		return Errorf(Denied, "the token %s is for the repositories of %s, not for %s", t.Name, t.App, repo)
	}
	if write && t.ReadOnly {
		return Errorf(Denied, "the token %s may only read", t.Name)
	}
	if repo.App() == "" {
		return nil
	}
	_, err := p.Store.App(ctx, repo.App())
	if KindOf(err) == NotFound {
		return Errorf(NotFound, "there is no app %q for the repository %s; without an app it goes below library/", repo.App(), repo)
	}
	return err
}

// TokenView is a token as people see it.
type TokenView struct {
	Name      string     `json:"name"`
	App       AppName    `json:"app,omitempty"`
	ReadOnly  bool       `json:"read_only"`
	ExpiresAt *time.Time `json:"expires_at,omitempty"`
	CreatedAt time.Time  `json:"created_at"`
}

func (t Token) view() TokenView {
	v := TokenView{Name: t.Name, App: t.App, ReadOnly: t.ReadOnly, CreatedAt: t.CreatedAt}
	if !t.ExpiresAt.IsZero() {
		v.ExpiresAt = &t.ExpiresAt
	}
	return v
}

// TokenList is tokens:list.
type TokenList []TokenView

// Text implements the verbs' output.
func (l TokenList) Text(w io.Writer) error {
	var rows [][]string
	for _, t := range l {
		app, may, until := "all", "read, write", "never"
		if t.App != "" {
			app = string(t.App)
		}
		if t.ReadOnly {
			may = "read"
		}
		if t.ExpiresAt != nil {
			until = t.ExpiresAt.Format(time.RFC3339)
		}
		rows = append(rows, []string{t.Name, app, may, until})
	}
	return table(w, []string{"NAME", "APP", "MAY", "EXPIRES"}, rows)
}

// ListTokens shows who may come in by token.
func (p *Platform) ListTokens(ctx context.Context, _ Call, _ struct{}) (TokenList, error) {
	tokens, err := p.Store.Tokens(ctx)
	list := TokenList{}
	for _, t := range tokens {
		list = append(list, t.view())
	}
	return list, err
}

// CreateTokenInput is tokens:create.
type CreateTokenInput struct {
	Name     string `arg:"name"`
	App      string `flag:"app" value:"APP" help:"only for this app's repositories; without it, for all"`
	ReadOnly bool   `flag:"read-only" help:"may pull, not push"`
	Expires  string `flag:"expires" value:"90d" help:"when it ends by itself: hours or days, like 12h or 90d"`
}

// NewToken is a token with its secret, which is shown this once.
type NewToken struct {
	TokenView
	Secret string `json:"token"`
}

// Text implements the verbs' output: the secret alone, so that it can be piped on.
func (t NewToken) Text(w io.Writer) error {
	_, err := fmt.Fprintln(w, t.Secret)
	return err
}

// CreateToken makes an API token.
func (p *Platform) CreateToken(ctx context.Context, call Call, in CreateTokenInput) (NewToken, error) {
	if !keyName.MatchString(in.Name) {
		return NewToken{}, Errorf(Usage, "%q is not a name for a token: use up to 64 letters, digits, dots, dashes and @", in.Name)
	}
	t := Token{Name: in.Name, ReadOnly: in.ReadOnly, CreatedAt: p.Now().UTC()}
	if in.App != "" {
		app, err := p.find(ctx, in.App)
		if err != nil {
			return NewToken{}, err
		}
		t.App = app.Name
	}
	if in.Expires != "" {
		d, err := parseTerm(in.Expires)
		if err != nil {
			return NewToken{}, err
		}
		t.ExpiresAt = t.CreatedAt.Add(d).Truncate(time.Millisecond)
	}
	secret := newTokenSecret()
	t.Hash = hashToken(secret)
	if err := p.Store.AddToken(ctx, t); err != nil {
		return NewToken{}, withHint(err, "see them: ssh paas tokens:list")
	}
	_, _ = fmt.Fprintln(call.Err, "This is the only time that the token is shown:")
	return NewToken{t.view(), secret}, nil
}

// maxTerm is ten years: longer is never.
const maxTerm = 10 * 365 * 24 * time.Hour

// parseTerm reads hours or days.
func parseTerm(s string) (time.Duration, error) {
	wrong := Errorf(Usage, "%q is not a time: write hours or days, like 12h or 90d", s)
	unit := time.Hour
	number, ok := strings.CutSuffix(s, "h")
	if !ok {
		if number, ok = strings.CutSuffix(s, "d"); !ok {
			return 0, wrong
		}
		unit = 24 * time.Hour
	}
	n, err := strconv.Atoi(number)
	if err != nil || n < 1 || n > int(maxTerm/unit) {
		return 0, wrong
	}
	return time.Duration(n) * unit, nil
}

// RevokeTokenInput is tokens:revoke.
type RevokeTokenInput struct {
	Name string `arg:"name"`
}

// RevokeToken ends a token at once.
func (p *Platform) RevokeToken(ctx context.Context, _ Call, in RevokeTokenInput) (Done, error) {
	err := p.Store.RemoveToken(ctx, in.Name)
	return donef("Revoked the token %s.", in.Name), withHint(err, "see them: ssh paas tokens:list")
}

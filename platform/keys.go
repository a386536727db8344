package platform

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/binary"
	"fmt"
	"io"
	"regexp"
	"slices"
	"strings"
	"time"
)

// KeyView is a key as people see it.
type KeyView struct {
	Name        string    `json:"name"`
	User        string    `json:"user"`
	Fingerprint string    `json:"fingerprint"`
	Admin       bool      `json:"admin"`
	CreatedAt   time.Time `json:"created_at"`
}

// KeyList is keys:list.
type KeyList []KeyView

// Text implements the verbs' output.
func (l KeyList) Text(w io.Writer) error {
	var rows [][]string
	for _, k := range l {
		role := "member"
		if k.Admin {
			role = "admin"
		}
		rows = append(rows, []string{k.Name, role, k.Fingerprint, k.User})
	}
	return table(w, []string{"NAME", "ROLE", "FINGERPRINT", "USER"}, rows)
}

// KeysInput is keys:list.
type KeysInput struct {
	User string `arg:"user" optional:"true" help:"only this user's"`
}

// ListKeys shows an admin who may come in, and others their own keys.
func (p *Platform) ListKeys(ctx context.Context, call Call, in KeysInput) (KeyList, error) {
	if in.User == "" && !call.Actor.Admin {
		in.User = call.Actor.Name
	}
	if err := selfOrAdmin(call.Actor, in.User, "keys of others"); err != nil {
		return nil, err
	}
	keys, err := p.Store.Keys(ctx)
	list := KeyList{}
	for _, k := range keys {
		if in.User == "" || in.User == k.User {
			list = append(list, KeyView{k.Name, k.User, k.Fingerprint, k.Admin, k.CreatedAt})
		}
	}
	return list, err
}

// selfOrAdmin lets users see and change what is theirs.
func selfOrAdmin(actor Actor, user, what string) error {
	if actor.Admin || user == actor.Name && actor.Token == nil {
		return nil
	}
	return Errorf(Denied, "%s are for admins, and %s is not one", what, actor.said())
}

// said is how the actor is told of itself.
func (a Actor) said() string {
	if a.Token != nil {
		return fmt.Sprintf("the token %q", a.Token.Name)
	}
	return fmt.Sprintf("%q", a.Name)
}

// AddKeyInput is keys:add.
type AddKeyInput struct {
	Name  string   `arg:"user" optional:"true" help:"whose it is; without it, your own"`
	Admin bool     `flag:"admin" help:"the user may do everything, keys and apps:destroy included"`
	As    string   `flag:"name" value:"NAME" help:"what to call the key; without it after its user"`
	Key   []string `arg:"key" rest:"optional" help:"the public key line; without it, it is read from standard input"`
}

// keyName is also the form of the names of users and tokens.
var keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

const nameHint = "use up to 64 letters, digits, dots, dashes and @"

// maxKeyLine is more than any public key of 16384 bits has.
const maxKeyLine = 16 << 10

// AddKey lets a public key in, as a user, who is made if there is none.
func (p *Platform) AddKey(ctx context.Context, call Call, in AddKeyInput) (KeyView, error) {
	in.Name = cmp.Or(in.Name, call.Actor.Name)
	if !keyName.MatchString(in.Name) || in.Name == Root {
		return KeyView{}, Errorf(Usage, "%q is not a name for a user: %s", in.Name, nameHint)
	}
	if in.As != "" && !keyName.MatchString(in.As) {
		return KeyView{}, Errorf(Usage, "%q is not a name for a key: %s", in.As, nameHint)
	}
	if err := selfOrAdmin(call.Actor, in.Name, "keys of others"); err != nil {
		return KeyView{}, err
	}
	if in.Admin && !call.Actor.Admin {
		return KeyView{}, Errorf(Denied, "making admins is for admins, and %s is not one", call.Actor.said())
	}
	line, err := strings.Join(in.Key, " "), error(nil)
	if line == "" && call.In != nil {
		if line, err = firstLine(call.In, maxKeyLine); err != nil {
			return KeyView{}, err
		}
	}
	public, fingerprint, err := ParsePublicKey(line)
	if err != nil {
		return KeyView{}, err
	}
	k := Key{User: in.Name, Fingerprint: fingerprint, Public: public, Admin: in.Admin}
	if k.Name, err = p.nameKey(ctx, in); err != nil {
		return KeyView{}, err
	}
	if err := p.Store.AddKey(ctx, k); err != nil {
		return KeyView{}, err
	}
	return KeyView{Name: k.Name, User: k.User, Fingerprint: fingerprint, Admin: k.Admin, CreatedAt: p.Now().UTC()}, nil
}

// nameKey finds a free name: the user's, and then with a number behind it.
func (p *Platform) nameKey(ctx context.Context, in AddKeyInput) (string, error) {
	keys, err := p.Store.Keys(ctx)
	if err != nil || in.As != "" {
		return in.As, err
	}
	name := in.Name
	for n := 2; slices.ContainsFunc(keys, func(k Key) bool { return k.Name == name }); n++ {
		name = fmt.Sprintf("%s-%d", in.Name, n)
	}
	return name, nil
}

// Text implements the verbs' output.
func (k KeyView) Text(w io.Writer) error {
	whose := ""
	if k.User != k.Name {
		whose = " of " + k.User
	}
	_, err := fmt.Fprintf(w, "Added the key %s%s (%s).\n", k.Name, whose, k.Fingerprint)
	return err
}

// keyTypes are those that OpenSSH clients still offer; DSA is not among them.
var keyTypes = []string{
	"ssh-ed25519", "ssh-rsa", "ecdsa-sha2-nistp256", "ecdsa-sha2-nistp384", "ecdsa-sha2-nistp521",
	"sk-ssh-ed25519@openssh.com", "sk-ecdsa-sha2-nistp256@openssh.com",
}

// ParsePublicKey reads a line of authorized_keys (sshd(8)): it returns type and key without options
// and comment, and OpenSSH's fingerprint.
func ParsePublicKey(line string) (public, fingerprint string, err error) {
	bad := Errorf(Usage, "that is not a public SSH key").WithHint("give the line from a file like ~/.ssh/id_ed25519.pub")
	words := strings.Fields(line)
	at := slices.IndexFunc(words, func(w string) bool { return slices.Contains(keyTypes, w) })
	if at < 0 || at+1 >= len(words) {
		return "", "", bad
	}
	blob, err := base64.StdEncoding.DecodeString(words[at+1])
	if err != nil || !startsWithString(blob, words[at]) {
		return "", "", bad
	}
	sum := sha256.Sum256(blob)
	return words[at] + " " + words[at+1], "SHA256:" + base64.RawStdEncoding.EncodeToString(sum[:]), nil
}

// startsWithString checks the key blob's first field, its type (RFC 4253, section 6.6).
func startsWithString(blob []byte, typ string) bool {
	if len(blob) < 4 {
		return false
	}
	n := binary.BigEndian.Uint32(blob)
	return uint64(len(blob)) > 4+uint64(n) && string(blob[4:4+n]) == typ
}

// RemoveKeyInput is keys:remove.
type RemoveKeyInput struct {
	Name string `arg:"name" optional:"true" help:"of the key, or its fingerprint"`
	By   string `flag:"fingerprint" value:"SHA256:…" help:"its fingerprint, instead of the name"`
}

// RemoveKey shuts a key out: sessions that came with it end, and tokens that were made with it. The last admin's stays.
func (p *Platform) RemoveKey(ctx context.Context, call Call, in RemoveKeyInput) (Done, error) {
	word := cmp.Or(in.By, in.Name)
	if word == "" {
		return Done{}, Errorf(Usage, "name is missing")
	}
	keys, err := p.Store.Keys(ctx)
	if err != nil {
		return Done{}, err
	}
	i := slices.IndexFunc(keys, func(k Key) bool { return k.Name == word || k.Fingerprint == word })
	if !call.Actor.Admin && (i < 0 || keys[i].User != call.Actor.Name || call.Actor.Token != nil) { // which of these, a stranger is not told
		return Done{}, Errorf(NotFound, "you have no key named %q", word).WithHint("see yours: ssh paas keys:list")
	}
	if i < 0 {
		return Done{}, Errorf(NotFound, "there is no key named %q", word).WithHint("see them: ssh paas keys:list")
	}
	k := keys[i]
	if err := p.Store.RemoveKey(ctx, k.Fingerprint); err != nil {
		return Done{}, err
	}
	p.recheck(ctx, call.Actor)
	return donef("Removed the key %s.", k.Name), nil
}

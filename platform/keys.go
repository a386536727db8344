package platform

import (
	"bufio"
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
		rows = append(rows, []string{k.Name, role, k.Fingerprint})
	}
	return table(w, []string{"NAME", "ROLE", "FINGERPRINT"}, rows)
}

// ListKeys shows who may come in.
func (p *Platform) ListKeys(ctx context.Context, _ Call, _ struct{}) (KeyList, error) {
	keys, err := p.Store.Keys(ctx)
	list := KeyList{}
	for _, k := range keys {
		list = append(list, KeyView{k.Name, k.Fingerprint, k.Admin, k.CreatedAt})
	}
	return list, err
}

// AddKeyInput is keys:add.
type AddKeyInput struct {
	Name  string   `arg:"name"`
	Admin bool     `flag:"admin" help:"may do everything, keys and apps:destroy included"`
	Key   []string `arg:"key" rest:"optional" help:"the public key line; without it, it is read from standard input"`
}

var keyName = regexp.MustCompile(`^[A-Za-z0-9][A-Za-z0-9._@-]{0,63}$`)

// AddKey lets a public key in.
func (p *Platform) AddKey(ctx context.Context, call Call, in AddKeyInput) (KeyView, error) {
	if !keyName.MatchString(in.Name) {
		return KeyView{}, Errorf(Usage, "%q is not a name for a key: use up to 64 letters, digits, dots, dashes and @", in.Name)
	}
	line := strings.Join(in.Key, " ")
	if line == "" && call.In != nil {
		line, _ = bufio.NewReader(io.LimitReader(call.In, 16<<10)).ReadString('\n') // its end is no error
	}
	public, fingerprint, err := ParsePublicKey(line)
	if err != nil {
		return KeyView{}, err
	}
	k := Key{Name: in.Name, Fingerprint: fingerprint, Public: public, Admin: in.Admin}
	return KeyView{Name: k.Name, Fingerprint: fingerprint, Admin: k.Admin, CreatedAt: p.Now().UTC()}, p.Store.AddKey(ctx, k)
}

// Text implements the verbs' output.
func (k KeyView) Text(w io.Writer) error {
	_, err := fmt.Fprintf(w, "Added the key %s (%s).\n", k.Name, k.Fingerprint)
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
	Name string `arg:"name"`
}

// RemoveKey shuts a key out. The last admin's stays.
func (p *Platform) RemoveKey(ctx context.Context, _ Call, in RemoveKeyInput) (Done, error) {
	keys, err := p.Store.Keys(ctx)
	if err != nil {
		return Done{}, err
	}
	others := slices.DeleteFunc(slices.Clone(keys), func(k Key) bool { return k.Name == in.Name })
	isAdmin := func(k Key) bool { return k.Admin }
	if len(others) < len(keys) && !slices.ContainsFunc(others, isAdmin) {
		return Done{}, Errorf(Conflict, "%s is the last admin key; without it nobody could come in", in.Name).
			WithHint("add another first: ssh paas keys:add NAME --admin < id_ed25519.pub")
	}
	err = p.Store.RemoveKey(ctx, in.Name)
	return donef("Removed the key %s.", in.Name), withHint(err, "see them: ssh paas keys:list")
}

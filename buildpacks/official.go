package buildpacks

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"crypto/sha512"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"net/http"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"

	"paas/buildpacks/plan"
	"paas/platform"
)

// A toolchain comes from the first of these that has it: what is cached here, the language's official distribution,
// a package registry (Go's module proxy, npm), Debian. Where the official one is sources, Debian goes before it: it has
// compiled them already.

// official is where a language's own people publish it.
type official struct {
	name    string   // as people write it
	site    string   // its address, without a slash at the end
	mirrors []string // variables that name another one, as the language's own tools have them
	probe   string   // below the site, what is small and always there
	// list is what there is of the wished version or near it, in any order.
	list func(ctx context.Context, s site, wish string) ([]release, error)
	// strip is how many folders of the archive's paths are left out. roots, if there are any, are the folders
	// below them that are laid over one another.
	strip int
	roots []string
	bin   string            // where its programs are in it; empty: bin
	of    string            // the toolchain whose distribution it is part of; empty: its own
	env   map[string]string // that its users need
	// compile is what makes /opt/NAME of the archive, where that holds sources: a shell line, run as root beside
	// the build variant's compilers.
	compile string
}

// release is one version for this machine.
type release struct {
	version string // "22.11.0"
	url     string // of a tar.gz
	sum     string // its SHA-256 or SHA-512 in hex; "" if sums has it
	sums    string // address of a file of sums, as sha256sum writes it, or of one sum alone
}

// site is an official distribution as the machine reaches it.
type site struct {
	engine *Engine
	base   string
}

// probeAge is how long it is remembered whether a site answers, probeWait how long it may take.
const (
	probeAge  = time.Hour
	probeWait = time.Second
)

// chosen is a version that was found for a wish. As long as its layer is there and it is fresh nobody is asked.
type chosen struct {
	At      time.Time         `json:"at"`
	Layer   string            `json:"layer"`
	Version string            `json:"version"`
	Path    string            `json:"path"`
	Env     map[string]string `json:"env"`
	Under   []string          `json:"under,omitempty"`
}

// official finds or makes a toolchain from its official distribution. ok is false if that cannot be reached or has no
// version that fits; near is the one nearest to it then.
func (e *Engine) official(ctx context.Context, base string, t plan.Toolchain, story *platform.Story) (m made, near string, ok bool, err error) {
	o, known := officials()[t.Name]
	if !known {
		return m, "", false, nil
	}
	if m, ok := e.chosen(t); ok {
		return m, "", true, nil
	}
	s := site{e, e.siteOf(o)}
	if !e.reaches(ctx, below(s.base, o.probe)) {
		return m, "", false, nil
	}
	all, err := o.list(ctx, s, t.Version)
	if err != nil {
		e.Log.Warn("ask an official distribution", "language", t.Name, "err", err)
		return m, "", false, ctx.Err()
	}
	fit, near := pick(all, t, e.now())
	for _, r := range fit[:min(maxRefused, len(fit))] {
		m, err = e.officialLayer(ctx, base, o, t, r, story)
		if errors.Is(err, errRefused) && ctx.Err() == nil {
			continue
		}
		return m, "", err == nil, err
	}
	return m, near, false, ctx.Err()
}

// siteOf is where the machine's configuration says that the distribution is, or its own site.
func (e *Engine) siteOf(o official) string {
	for _, name := range o.mirrors {
		if address := e.Machine.Vars[name]; address != "" {
			return strings.TrimRight(address, "/")
		}
	}
	return o.site
}

// below joins an address and a path, which may lead to the folder beside.
func below(base, path string) string {
	if rest, ok := strings.CutPrefix(path, "/.."); ok {
		return base[:max(strings.LastIndexByte(base, '/'), 0)] + rest
	}
	return base + path
}

// reaches tells whether an address answers. What is known for longer than probeAge is asked again in the background,
// so that a push waits for a probe once in the life of a host.
func (e *Engine) reaches(ctx context.Context, address string) bool {
	name := "reaches " + address
	kept := e.kept(name)
	if len(kept.List) == 0 {
		return e.probe(ctx, name, address)
	}
	if e.now().Sub(kept.At) >= probeAge {
		e.sweeps.Go(func() { e.probe(context.WithoutCancel(ctx), name, address) })
	}
	return kept.List[0] == "yes"
}

func (e *Engine) probe(ctx context.Context, name, address string) bool {
	ctx, cancel := context.WithTimeout(ctx, probeWait)
	defer cancel()
	answer := "no"
	if req, err := http.NewRequestWithContext(ctx, http.MethodHead, address, nil); err == nil {
		if res, err := e.client.Do(req); err == nil {
			_ = res.Body.Close() // it has none
			if res.StatusCode < http.StatusBadRequest {
				answer = "yes"
			}
		}
	}
	if err := e.keep(name, []string{answer}); err != nil {
		e.Log.Warn("remember a probe", "err", err)
	}
	return answer == "yes"
}

// pick sorts out the releases that fit, the most wanted first, and the one that is nearest if none does.
func pick(all []release, t plan.Toolchain, now time.Time) (fit []release, near string) {
	slices.SortFunc(all, func(a, b release) int { return slices.Compare(numbers(b.version), numbers(a.version)) })
	fits := matcher(t, now)
	for _, r := range all {
		if fits(r.version) {
			fit = append(fit, r)
		}
	}
	if len(all) == 0 || len(fit) > 0 {
		return fit, ""
	}
	wish := numbers(strings.TrimLeft(t.Version, "<>=~^v go"))
	return nil, slices.MinFunc(all, func(a, b release) int {
		return slices.Compare(distance(numbers(a.version), wish), distance(numbers(b.version), wish))
	}).version
}

// numbers are those of a version, "21.0.5+11" being 21, 0, 5 and 11.
func numbers(version string) (list []int) {
	for part := range strings.FieldsFuncSeq(version, func(r rune) bool { return r < '0' || r > '9' }) {
		n, _ := strconv.Atoi(part) // digits only; one beyond all bounds counts as 0
		list = append(list, n)
	}
	return list
}

func distance(a, b []int) (d []int) {
	for i := range b {
		x := 0
		if i < len(a) {
			x = a[i]
		}
		d = append(d, max(x-b[i], b[i]-x))
	}
	return d
}

// officialLayer finds or makes the layer of one release, below /opt.
func (e *Engine) officialLayer(ctx context.Context, base string, o official, t plan.Toolchain, r release, story *platform.Story) (made, error) {
	name := cmp.Or(o.of, t.Name)
	key := keyOf("official", name, r.version, 1)
	root := "/opt/" + name
	m := made{layer: key, version: r.version, path: path.Join(root, cmp.Or(o.bin, "bin")), env: o.env}
	var err error
	if m.under, err = e.companions(ctx, base, t, story); err != nil {
		return m, err
	}
	err = e.hostLayer(ctx, story, product{key, o.name + " " + r.version}, func(dir string) error {
		story.Phase("Fetching %s %s, once on this host", o.name, r.version)
		if o.compile != "" {
			return e.compile(ctx, base, o, r, dir, story)
		}
		return e.fetchOfficial(ctx, o, r, filepath.Join(dir, filepath.FromSlash(root)))
	})
	if err != nil {
		return m, err
	}
	return m, e.choose(t, m)
}

// companions are what belongs to a toolchain beside its language's own distribution: Debian's build tools, and
// programs of ours.
func (e *Engine) companions(ctx context.Context, base string, t plan.Toolchain, story *platform.Story) ([]string, error) {
	d := debianToolchains[t.Name]
	if len(d.files) == 0 {
		return nil, nil
	}
	names := slices.DeleteFunc(slices.Clone(d.packages), func(p string) bool { return strings.HasPrefix(p, "openjdk-") })
	if len(names) > 0 {
		layer, err := e.packagesWith(ctx, base, names, d.files, story)
		return []string{layer}, err
	}
	key := keyOf("programs", d.files)
	return []string{key}, e.layer(ctx, story, product{key, "programs for " + d.name}, func(dir string) error {
		return writePrograms(dir, d.files)
	})
}

// compile makes a toolchain of its sources, which takes minutes.
func (e *Engine) compile(ctx context.Context, base string, o official, r release, upper string, story *platform.Story) error {
	tools, err := e.packages(ctx, base, buildPackages, story)
	if err != nil {
		return err
	}
	return e.scratch(func(sources string) error {
		if err := e.fetchOfficial(ctx, o, r, sources); err != nil {
			return err
		}
		env := e.clientEnv()
		env["HOME"] = "/tmp"
		_, err := e.exec(ctx, platform.StepSpec{
			AppID: hostApp, App: "debian", Name: "compile", Layers: []string{base, tools}, Upper: upper, Dir: "/usr/src/paas",
			Argv: []string{"/bin/bash", "-e", "-c", o.compile}, Env: env, Limits: e.Limits,
			Binds: append(e.Machine.binds(), platform.Bind{Source: sources, Target: "/usr/src/paas"}),
		}, o.compile, story)
		return err
	})
}

func (e *Engine) fetchOfficial(ctx context.Context, o official, r release, dir string) error {
	want, err := e.sumOf(ctx, r)
	if err != nil {
		return err
	}
	body, err := e.download(ctx, r.url, "")
	if err != nil {
		return err
	}
	defer func() { _ = body.Close() }()
	sum := hashFor(want)
	in := io.TeeReader(body, sum)
	if err := untarTree(in, dir, o.strip, o.roots); err != nil {
		return fmt.Errorf("unpack %s: %w", r.url, err)
	}
	if _, err := io.Copy(io.Discard, io.LimitReader(in, maxUnpacked)); err != nil {
		return err
	}
	if got := hex.EncodeToString(sum.Sum(nil)); got != want {
		return platform.Errorf(platform.Failed, "%s is not what its publisher signed for: its digest is wrong", path.Base(r.url)).
			Because(fmt.Errorf("%s, not %s", got, want))
	}
	return nil
}

// hashFor is what a sum of that length was made with.
func hashFor(sum string) hash.Hash {
	if len(sum) == hex.EncodedLen(sha512.Size) {
		return sha512.New()
	}
	return sha256.New()
}

// sumOf is the digest that the archive must have.
func (e *Engine) sumOf(ctx context.Context, r release) (string, error) {
	if r.sum != "" {
		return strings.ToLower(r.sum), nil
	}
	text, err := e.document(ctx, r.sums)
	if err != nil {
		return "", err
	}
	name := path.Base(r.url)
	for line := range bytes.Lines(text) {
		words := strings.Fields(string(line))
		alone := len(words) == 1 && len(words[0]) == hex.EncodedLen(sha256.Size)
		if alone || len(words) == 2 && path.Base(strings.TrimPrefix(words[1], "*")) == name {
			return strings.ToLower(words[0]), nil
		}
	}
	return "", fmt.Errorf("%w: %s names no digest of %s", errRefused, r.sums, name)
}

// document reads a small file.
func (e *Engine) document(ctx context.Context, address string) ([]byte, error) {
	body, err := e.download(ctx, address, "")
	if err != nil {
		return nil, err
	}
	text, err := io.ReadAll(io.LimitReader(body, maxDocument))
	return text, errors.Join(err, body.Close())
}

func (s site) json(ctx context.Context, below string, into any) error {
	text, err := s.engine.document(ctx, s.base+below)
	if err != nil {
		return err
	}
	return json.Unmarshal(text, into)
}

func (e *Engine) chosenPath(t plan.Toolchain) string {
	return e.knownPath("chosen " + t.Name + " " + t.Version)
}

// choose remembers a version, for a day.
func (e *Engine) choose(t plan.Toolchain, m made) error {
	text, err := json.Marshal(chosen{e.now(), m.layer, m.version, m.path, m.env, m.under})
	if err != nil {
		return err
	}
	return replace(e.chosenPath(t), text)
}

func (e *Engine) chosen(t plan.Toolchain) (made, bool) {
	var c chosen
	text, err := os.ReadFile(e.chosenPath(t))
	if err != nil || json.Unmarshal(text, &c) != nil || e.now().Sub(c.At) >= answerAge {
		return made{}, false
	}
	for _, layer := range append(c.Under, c.Layer) {
		if e.holding.hold(layer) != nil || !e.Images.Has(layer) {
			return made{}, false
		}
	}
	return made{layer: c.Layer, version: c.Version, path: c.Path, env: c.Env, under: c.Under}, true
}

// cannotBeHad is the sentence for a version that nobody has.
func cannotBeHad(t plan.Toolchain, near, pinned string) error {
	name := spoken(t.Name)
	e := platform.Errorf(platform.Failed, "%s asks for %s %s, which cannot be had; the nearest that can is %s", asked(t), name, t.Version, near)
	if pinned != "" {
		return e.WithHint("if the app runs with it too: %s", pinned)
	}
	return e.WithHint("ask for it in %s, if the app runs with it too", cmp.Or(t.From, "the app's version file"))
}

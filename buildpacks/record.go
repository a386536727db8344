package buildpacks

import (
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"maps"
	"slices"
	"strings"
	"time"

	"paas/buildpacks/plan"
	"paas/platform"
)

// timed is a layer in the making.
type timed struct {
	platform.BuildStep
	began time.Time
	from  int // how many layers there were
}

// begins starts the clock of a layer.
func (b *build) begins(name string, kind platform.StepKind, inputs ...platform.BuildInput) timed {
	b.peak = 0
	return timed{platform.BuildStep{Name: name, Kind: kind, Inputs: inputs}, b.now(), len(b.layers)}
}

// tell reports what a layer came to, and passes err on. key names all that went into it.
func (b *build) tell(t timed, key string, err error) error {
	t.Key, t.Failed, t.Seconds, t.MemoryPeak = key, err != nil, b.now().Sub(t.began).Seconds(), b.peak
	t.Reused = err == nil && !b.holding.madeSince(t.began, b.layers[t.from:])
	if t.Reused {
		for _, layer := range b.layers[t.from:] {
			t.Saved += b.Images.Took(layer).Seconds()
		}
	}
	if err == nil {
		b.below = append(b.below, platform.BuildInput{Kind: belowKind(t.Kind), Name: t.Name, Digest: t.shown()})
	}
	if b.req.Report != nil {
		b.req.Report(t.BuildStep)
	}
	return err
}

// shown is what tells a layer from another for people: its version, or its key.
func (t timed) shown() string {
	for _, i := range t.Inputs {
		if i.Kind == platform.ArgumentInput && i.Name == "version" {
			return cmp.Or(i.Digest, t.Key)
		}
	}
	return t.Key
}

// belowKind is what a layer is to those above it.
func belowKind(k platform.StepKind) platform.InputKind {
	switch k {
	case platform.BaseStep:
		return platform.BaseInput
	case platform.PackagesStep:
		return platform.PackageInput
	case platform.ToolchainStep:
		return platform.ToolchainInput
	}
	return platform.LayerInput
}

// stepInputs are the parts of a step's key, but for its files.
func (b *build) stepInputs(s plan.Step) []platform.BuildInput {
	in := slices.Clone(b.below)
	add := func(kind platform.InputKind, name, digest string) {
		in = append(in, platform.BuildInput{Kind: kind, Name: name, Digest: digest})
	}
	add(platform.CommandInput, "", digestOf(strings.Join(s.Commands, "\n")))
	for _, name := range slices.Sorted(maps.Keys(s.Env)) {
		add(platform.ArgumentInput, name, digestOf(s.Env[name]))
	}
	add(platform.ArgumentInput, "PATH", digestOf(b.searchPath(b.path)))
	if s.Tools {
		add(platform.PackageInput, "compilers", packagesKey(b.base, buildPackages))
	}
	if s.Config {
		digests := b.secret.digests(b.req.Config)
		for _, name := range slices.Sorted(maps.Keys(digests)) {
			add(platform.ConfigInput, name, digests[name])
		}
	}
	return in
}

func digestOf(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// packageInputs are those of a layer of packages.
func packageInputs(base string, names []string) []platform.BuildInput {
	in := []platform.BuildInput{{Kind: platform.BaseInput, Digest: base}}
	for _, name := range names {
		in = append(in, platform.BuildInput{Kind: platform.PackageInput, Name: name, Digest: "wanted"})
	}
	return in
}

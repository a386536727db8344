package dockerfile

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"fmt"
	"hash"
	"path"
	"slices"
	"strings"

	"github.com/moby/buildkit/solver"
	"github.com/moby/buildkit/solver/pb"
	"github.com/moby/patternmatcher"
	"github.com/opencontainers/go-digest"

	"paas/buildpacks/dockerfile/wire"
	"paas/platform"
)

// made is what an instruction is made from: of the graph its operation, its environment and what lies below,
// of the context the files that it takes. BuildKit's own digests tell whether something changed, not what; and
// one of a COPY names the whole context.
type made struct {
	job    *job
	vertex solver.Vertex
	inputs []platform.BuildInput
	taken  []bool // of the job's files; nil: none
}

// hash is one whose sums cannot be guessed from, as the key of the host is in them: a value may be a secret.
func (j *job) hash() hash.Hash { return hmac.New(sha256.New, j.req.Salt) }

func (j *job) digest(text []byte) string {
	h := j.hash()
	_, _ = h.Write(text) // a hash never fails
	return hex.EncodeToString(h.Sum(nil))
}

// describe tells what an instruction is made from; nil if it is not known.
func (j *job) describe(id digest.Digest) *wire.Made {
	v := j.builder.vertexOf(id)
	if v == nil {
		return nil
	}
	return j.madeOf(v)
}

func (j *job) madeOf(v solver.Vertex) *wire.Made {
	if known := j.mades[v.Digest()]; known != nil {
		return known
	}
	m := &made{job: j, vertex: v}
	if op, ok := v.Sys().(*pb.Op); ok {
		m.operation(op)
	}
	j.mades[v.Digest()] = m.result()
	return j.mades[v.Digest()]
}

func (m *made) operation(op *pb.Op) {
	switch {
	case op.GetSource() != nil:
		m.source(m.vertex)
		return
	case op.GetExec() != nil:
		m.exec(op.GetExec())
	case op.GetFile() != nil:
		m.files(op.GetFile())
	default:
		for i := range op.GetInputs() {
			m.below(int64(i), placeName(i), "", nil)
		}
	}
	m.add(platform.CommandInput, "", m.job.digest(command(op)))
}

func placeName(i int) string {
	if i == 0 {
		return ""
	}
	return fmt.Sprint(i)
}

// command is the operation itself: without what it is done to and its environment, which are told apart.
func command(op *pb.Op) []byte {
	op = op.CloneVT()
	op.Inputs = nil
	if exec := op.GetExec(); exec != nil && exec.Meta != nil {
		exec.Meta.Env = nil
	}
	text, err := op.MarshalVT()
	if err != nil {
		return nil // it was read from such a text
	}
	return text
}

func (m *made) exec(op *pb.ExecOp) {
	for _, entry := range op.GetMeta().GetEnv() {
		name, value, _ := strings.Cut(entry, "=")
		kind := platform.ArgumentInput
		if given, ok := m.job.req.Args[name]; ok && given == value {
			kind = platform.ConfigInput
		}
		m.add(kind, name, m.job.digest([]byte(value)))
	}
	for _, s := range op.GetSecretenv() {
		m.secret(s.ID, []byte(m.job.req.Secrets[s.ID]))
	}
	for _, mount := range op.GetMounts() {
		m.mount(mount)
	}
}

func (m *made) mount(mount *pb.Mount) {
	switch {
	case mount.GetSecretOpt() != nil:
		id := mount.SecretOpt.ID
		m.secret(id, []byte(m.job.req.Secrets[id]))
	case mount.GetSSHOpt() != nil:
		id := mount.SSHOpt.ID
		m.secret(id, m.job.req.Keys[id])
	case mount.Dest == pb.RootMount:
		m.below(mount.Input, "", mount.Selector, nil)
	default:
		m.below(mount.Input, "mounted at "+mount.Dest, mount.Selector, nil)
	}
}

func (m *made) files(op *pb.FileOp) {
	for _, a := range op.GetActions() {
		m.below(a.Input, "", "", nil)
		if c := a.GetCopy(); c != nil {
			m.below(a.SecondaryInput, "", c.Src, c)
		}
	}
}

// below notes one of the things that the operation is done to: a base image, the context, an earlier
// instruction. Numbers beyond the inputs are results of the operation's own earlier parts.
func (m *made) below(input int64, role, selector string, c *pb.FileActionCopy) {
	edges := m.vertex.Inputs()
	if input < 0 || input >= int64(len(edges)) {
		return
	}
	v := edges[input].Vertex
	op, ok := v.Sys().(*pb.Op)
	if ok && op.GetSource() != nil {
		if strings.HasPrefix(op.GetSource().Identifier, contextScheme+"://") {
			m.take(selector, c)
			return
		}
		m.source(v)
		return
	}
	if role == "" && c != nil {
		role = stageOf(v.Name())
	}
	m.add(platform.LayerInput, role, m.job.madeOf(v).Key)
}

// stageOf is the stage in an instruction's name: "build" of "[build 2/4] RUN make".
func stageOf(name string) string {
	place, _, ok := strings.Cut(strings.TrimPrefix(name, "["), "]")
	if stage, _, two := strings.Cut(place, " "); ok && two {
		return stage
	}
	return "another stage"
}

// source notes what comes from elsewhere: an image, or what a URL names.
func (m *made) source(v solver.Vertex) {
	id := v.Sys().(*pb.Op).GetSource().Identifier
	image, ok := strings.CutPrefix(id, imageScheme+"://")
	if !ok {
		m.add(platform.FileInput, id, m.job.builder.pinOf(id))
		return
	}
	name, pinned, _ := strings.Cut(image, "@")
	name = strings.TrimPrefix(strings.TrimPrefix(name, "docker.io/"), "library/")
	m.add(platform.BaseInput, name, pinned)
}

// secret notes one that is mounted. Its value decides nothing: it is in no key.
func (m *made) secret(id string, value []byte) {
	m.add(platform.SecretInput, id, m.job.digest(value))
}

// add notes an input. Two of one name become one.
func (m *made) add(kind platform.InputKind, name, digest string) {
	i := slices.IndexFunc(m.inputs, func(i platform.BuildInput) bool { return i.Kind == kind && i.Name == name })
	switch {
	case i < 0:
		m.inputs = append(m.inputs, platform.BuildInput{Kind: kind, Name: name, Digest: digest})
	case m.inputs[i].Digest != digest:
		m.inputs[i].Digest = m.job.digest([]byte(m.inputs[i].Digest + digest))
	}
}

// take notes the files of the context that a path names, or that a COPY's patterns do.
func (m *made) take(selector string, c *pb.FileActionCopy) {
	if m.taken == nil {
		m.taken = make([]bool, len(m.job.files))
	}
	include, exclude := matcher(c.GetIncludePatterns()), matcher(c.GetExcludePatterns())
	whole := m.isLink(selector) // what it leads to is in the tree somewhere
	for i, f := range m.job.files {
		inner, ok := under(selector, f.Path)
		if !ok && !whole {
			continue
		}
		if include != nil && !match(include, inner) || exclude != nil && match(exclude, inner) {
			continue
		}
		m.taken[i] = true
	}
}

func (m *made) isLink(name string) bool {
	name = strings.Trim(path.Clean("/"+name), "/")
	return slices.ContainsFunc(m.job.files, func(f platform.File) bool { return f.Mode == platform.Symlink && f.Path == name })
}

// under tells whether a file is what a pattern names, or below that, and its path from there, which is what
// include and exclude patterns are about. The pattern is one of path.Match.
func under(pattern, file string) (inner string, ok bool) {
	pattern = strings.Trim(path.Clean("/"+pattern), "/")
	if pattern == "" || file == pattern {
		return file, true
	}
	if !strings.ContainsAny(pattern, `*?[\`) {
		return strings.CutPrefix(file, pattern+"/")
	}
	parts := strings.Split(file, "/")
	depth := strings.Count(pattern, "/") + 1
	if len(parts) < depth {
		return file, false
	}
	ok, err := path.Match(pattern, strings.Join(parts[:depth], "/"))
	if inner = path.Join(parts[depth:]...); inner == "" {
		inner = parts[depth-1]
	}
	return inner, ok && err == nil
}

// matcher is nil without patterns, and with such as BuildKit refuses.
func matcher(patterns []string) *patternmatcher.PatternMatcher {
	if len(patterns) == 0 {
		return nil
	}
	m, err := patternmatcher.New(patterns)
	if err != nil {
		return nil
	}
	return m
}

func match(m *patternmatcher.PatternMatcher, file string) bool {
	ok, err := m.MatchesOrParentMatches(file)
	return ok && err == nil
}

// result names all of it by a key that is equal when nothing of it but secrets has changed.
func (m *made) result() *wire.Made {
	out := &wire.Made{Inputs: m.inputs}
	h := m.job.hash()
	for _, i := range m.inputs {
		if i.Kind != platform.SecretInput {
			_, _ = fmt.Fprintf(h, "%s %q %s\n", i.Kind, i.Name, i.Digest) // a hash never fails
		}
	}
	var line []byte
	for i, taken := range m.taken {
		if !taken {
			continue
		}
		f := m.job.files[i]
		line = fmt.Appendf(line[:0], "%o %s %q\n", f.Mode, f.ID, f.Path)
		_, _ = h.Write(line)
		at := m.job.places[i]
		if last := len(out.Files) - 1; last >= 0 && out.Files[last][1] == at {
			out.Files[last][1]++
		} else {
			out.Files = append(out.Files, [2]int{at, at + 1})
		}
	}
	out.Key = hex.EncodeToString(h.Sum(nil))
	return out
}

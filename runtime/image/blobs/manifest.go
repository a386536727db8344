package blobs

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"strings"

	"github.com/opencontainers/go-digest"
	ocispec "github.com/opencontainers/image-spec/specs-go/v1"
	"golang.org/x/sys/unix"

	"paas/platform"
)

// MaxManifest is how many bytes a manifest may have, the least that registries must take
// (OCI distribution-spec, "Pushing manifests").
const MaxManifest = 4 << 20

// record is what the area keeps of a manifest beside its content.
type record struct {
	platform.Descriptor
	Subject string          `json:"subject,omitempty"`
	Blobs   []digest.Digest `json:"blobs,omitempty"` // that it needs
}

// document is what the area reads of a manifest or an index of either vendor.
type document struct {
	MediaType    string               `json:"mediaType"`
	ArtifactType string               `json:"artifactType"`
	Config       *ocispec.Descriptor  `json:"config"`
	Layers       []ocispec.Descriptor `json:"layers"`
	Manifests    []ocispec.Descriptor `json:"manifests"`
	Subject      *ocispec.Descriptor  `json:"subject"`
	Annotations  map[string]string    `json:"annotations"`
}

// PutManifest stores a manifest under a tag or under its digest, and returns it with its digest and
// subject. What it needs must be in the repository already, or it is of kind Conflict; a body that is no
// manifest or has another digest is of kind Usage. It blocks until all is on the disk.
func (a *Area) PutManifest(ctx context.Context, repo platform.Repository, ref string, m platform.Manifest) (platform.Manifest, error) {
	doc, err := parse(m)
	if err != nil {
		return m, err
	}
	sum := digest.FromBytes(m.Body)
	if !IsTag(ref) {
		if sum, err = matching(ref, m.Body); err != nil {
			return m, err
		}
	}
	m.Digest = sum.String()
	if doc.Subject != nil {
		m.Subject = doc.Subject.Digest.String()
	}
	unlock, err := a.lock(unix.LOCK_SH)
	if err != nil {
		return m, err
	}
	defer unlock()
	r, err := a.examine(repo, m, doc)
	if err != nil {
		return m, err
	}
	return m, a.keep(ctx, repo, ref, m, r)
}

// matching checks that the body is what the digest says.
func matching(ref string, body []byte) (digest.Digest, error) {
	d, err := ParseDigest(ref)
	if err != nil {
		return "", err
	}
	if d.Algorithm().FromBytes(body) != d {
		return "", platform.Errorf(platform.Usage, "the manifest is not what the digest %s says", d)
	}
	return d, nil
}

func parse(m platform.Manifest) (document, error) {
	var doc document
	if err := json.Unmarshal(m.Body, &doc); err != nil {
		return doc, platform.Errorf(platform.Usage, "the manifest is not JSON: %v", err)
	}
	if doc.MediaType != "" && doc.MediaType != m.MediaType {
		return doc, platform.Errorf(platform.Usage, "the manifest says that it is %q and was sent as %q", doc.MediaType, m.MediaType)
	}
	if m.MediaType == "" || doc.Config == nil && doc.Manifests == nil {
		return doc, platform.Errorf(platform.Usage, "that is neither an image manifest nor an index")
	}
	return doc, nil
}

// examine makes the manifest's record; every digest in it is sound and there.
func (a *Area) examine(repo platform.Repository, m platform.Manifest, doc document) (record, error) {
	r := record{Subject: m.Subject, Descriptor: platform.Descriptor{
		MediaType: m.MediaType, Digest: m.Digest, Size: int64(len(m.Body)),
		ArtifactType: doc.ArtifactType, Annotations: doc.Annotations,
	}}
	if doc.Subject != nil {
		if _, err := ParseDigest(m.Subject); err != nil {
			return r, err
		}
	}
	if doc.Config != nil {
		doc.Layers = append([]ocispec.Descriptor{*doc.Config}, doc.Layers...)
		if r.ArtifactType == "" {
			r.ArtifactType = doc.Config.MediaType
		}
	}
	for _, d := range doc.Layers {
		if elsewhere(d) {
			continue
		}
		if err := a.need(repo, "blobs", d.Digest); err != nil {
			return r, err
		}
		r.Blobs = append(r.Blobs, d.Digest)
	}
	for _, d := range doc.Manifests {
		if err := a.need(repo, "manifests", d.Digest); err != nil {
			return r, err
		}
	}
	return r, nil
}

// elsewhere tells whether a layer is of the kind that its owner lets nobody else distribute.
func elsewhere(d ocispec.Descriptor) bool {
	return strings.Contains(d.MediaType, ".nondistributable.") || strings.Contains(d.MediaType, ".foreign.")
}

func (a *Area) need(repo platform.Repository, kind string, d digest.Digest) error {
	if _, err := ParseDigest(d.String()); err != nil {
		return err
	}
	if a.touch(a.in(repo, kind, fileName(d))) != nil || !a.Has(d) {
		return platform.Errorf(platform.Conflict, "the manifest needs %s, which %s does not have", d, repo)
	}
	return nil
}

// keep writes content, record and tag, in this order: each leads to what is there already.
func (a *Area) keep(ctx context.Context, repo platform.Repository, ref string, m platform.Manifest, r record) error {
	if err := a.writeAs(ctx, digest.Digest(m.Digest), m.Body); err != nil {
		return fmt.Errorf("store manifest: %w", err)
	}
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	if err := write(a.in(repo, "manifests", fileName(digest.Digest(m.Digest))), text); err != nil {
		return err
	}
	if !IsTag(ref) {
		return nil
	}
	return write(a.in(repo, "tags", ref), []byte(m.Digest))
}

func (a *Area) writeAs(_ context.Context, d digest.Digest, body []byte) error {
	if a.Has(d) {
		return nil
	}
	if err := a.Room(); err != nil {
		return err
	}
	return write(a.content(d), body)
}

// resolve finds the digest that a tag or a digest names.
func (a *Area) resolve(repo platform.Repository, ref string) (digest.Digest, error) {
	if !IsTag(ref) {
		return ParseDigest(ref)
	}
	text, err := os.ReadFile(a.in(repo, "tags", ref))
	if errors.Is(err, fs.ErrNotExist) {
		return "", noManifest(repo, ref)
	}
	if err != nil {
		return "", err
	}
	return ParseDigest(string(text))
}

func noManifest(repo platform.Repository, ref string) error {
	return platform.Errorf(platform.NotFound, "%s has no manifest %s", repo, ref)
}

// Manifest reads what a tag or a digest names. Missing is of kind NotFound.
func (a *Area) Manifest(_ context.Context, repo platform.Repository, ref string) (platform.Manifest, error) {
	d, err := a.resolve(repo, ref)
	if err != nil {
		return platform.Manifest{}, err
	}
	r, err := a.record(repo, d)
	if errors.Is(err, fs.ErrNotExist) {
		return platform.Manifest{}, noManifest(repo, ref)
	}
	if err != nil {
		return platform.Manifest{}, err
	}
	f, _, err := a.Content(d)
	if err != nil {
		return platform.Manifest{}, fmt.Errorf("read manifest %s: %w", d, err)
	}
	body, err := io.ReadAll(io.LimitReader(f, MaxManifest))
	return platform.Manifest{Digest: d.String(), MediaType: r.MediaType, Body: body, Subject: r.Subject}, errors.Join(err, f.Close())
}

func (a *Area) record(repo platform.Repository, d digest.Digest) (record, error) {
	return readRecord(a.in(repo, "manifests", fileName(d)))
}

func readRecord(path string) (record, error) {
	var r record
	text, err := os.ReadFile(path)
	if err != nil {
		return r, err
	}
	return r, json.Unmarshal(text, &r)
}

// DeleteManifest removes a tag, or a manifest with every tag that leads to it.
func (a *Area) DeleteManifest(ctx context.Context, repo platform.Repository, ref string) error {
	if IsTag(ref) {
		err := os.Remove(a.in(repo, "tags", ref))
		if errors.Is(err, fs.ErrNotExist) {
			return noManifest(repo, ref)
		}
		return err
	}
	d, err := ParseDigest(ref)
	if err != nil {
		return err
	}
	if err := a.untag(ctx, repo, d); err != nil {
		return err
	}
	err = os.Remove(a.in(repo, "manifests", fileName(d)))
	if errors.Is(err, fs.ErrNotExist) {
		return noManifest(repo, ref)
	}
	return err
}

func (a *Area) untag(ctx context.Context, repo platform.Repository, d digest.Digest) error {
	tags, err := a.Tags(ctx, repo)
	for _, tag := range tags {
		if to, e := a.resolve(repo, tag); e == nil && to == d {
			err = errors.Join(err, ignoreMissing(os.Remove(a.in(repo, "tags", tag))))
		}
	}
	return err
}

// Referrers describes the manifests whose subject is the digest, in order of their digests.
func (a *Area) Referrers(_ context.Context, repo platform.Repository, subject digest.Digest) ([]platform.Descriptor, error) {
	names, err := list(a.in(repo, "manifests"))
	if err != nil {
		return nil, err
	}
	found := []platform.Descriptor{}
	for _, name := range names {
		d, err := fromFileName(name)
		if err != nil {
			continue // a temporary file
		}
		r, err := a.record(repo, d)
		if errors.Is(err, fs.ErrNotExist) {
			continue // deleted meanwhile
		}
		if err != nil {
			return nil, fmt.Errorf("read record of %s: %w", d, err)
		}
		if r.Subject == subject.String() {
			found = append(found, r.Descriptor)
		}
	}
	return found, nil
}

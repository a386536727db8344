package pack

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/klauspost/compress/zlib"
)

// Store reads the objects of git object directories as they were when it was opened: packs, and objects
// that lie loose. Safe for concurrent use; closing it ends the reading of objects that are open.
type Store struct {
	dirs  []string
	files []*file
}

// OpenStore opens the object directories ("…/objects"), the first one that has an object wins. tmp is
// where big objects are put together; it must exist. While packs are replaced by one that has their
// objects, it opens either the old ones or the new one.
func OpenStore(tmp string, dirs ...string) (*Store, error) {
	s := &Store{dirs: dirs}
	for _, dir := range dirs {
		files, err := openPacks(dir, tmp)
		s.files = append(s.files, files...)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("open packs: %w", err), s.Close())
		}
	}
	return s, nil
}

const looksAgain = 5 // times, when packs go while they are opened; after that an index has no pack

// openPacks opens a directory's packs. A pack that goes between listing and opening went into a new one,
// which the list does not have.
func openPacks(dir, tmp string) (files []*file, err error) {
	for look := 0; ; look++ {
		indexes, err := filepath.Glob(filepath.Join(dir, "pack", "*.idx"))
		if err != nil {
			return nil, err
		}
		files, gone, err := openAll(indexes, tmp)
		if err != nil || !gone || look == looksAgain {
			return files, err
		}
		for _, f := range files {
			_ = f.close() // only read
		}
	}
}

func openAll(indexes []string, tmp string) (files []*file, gone bool, err error) {
	for _, path := range indexes {
		f, err := openFile(path, tmp)
		if errors.Is(err, fs.ErrNotExist) {
			gone = true
			continue
		}
		if err != nil {
			return files, gone, err
		}
		files = append(files, f)
	}
	return files, gone, nil
}

// Close closes the packs.
func (s *Store) Close() error {
	var errs []error
	for _, f := range s.files {
		errs = append(errs, f.close())
	}
	return errors.Join(errs...)
}

// Object is an object that is being read. Close it.
type Object struct {
	Kind plumbing.ObjectType
	Size int64
	io.Reader
	closer io.Closer
}

// Bytes is the object's size.
func (o *Object) Bytes() int64 { return o.Size }

// Close ends the reading.
func (o *Object) Close() error { return o.closer.Close() }

func (s *Store) find(id ID) (*file, int64, bool) {
	for _, f := range s.files {
		if offset, ok := f.index.find(id); ok {
			return f, offset, true
		}
	}
	return nil, 0, false
}

// Has tells whether the object is there.
func (s *Store) Has(id ID) bool {
	if _, _, ok := s.find(id); ok {
		return true
	}
	for _, dir := range s.dirs {
		if _, err := os.Stat(loosePath(dir, id)); err == nil {
			return true
		}
	}
	return false
}

// Open reads an object; ErrNotFound if it is not there.
func (s *Store) Open(id ID) (*Object, error) {
	if f, offset, ok := s.find(id); ok {
		return f.open(offset)
	}
	for _, dir := range s.dirs {
		o, err := openLoose(loosePath(dir, id))
		if !errors.Is(err, fs.ErrNotExist) {
			return o, err
		}
	}
	return nil, fmt.Errorf("%w: %s", ErrNotFound, id)
}

func loosePath(dir string, id ID) string {
	name := id.String()
	return filepath.Join(dir, name[:2], name[2:])
}

// looseObject is a file that holds one object: "<kind> <size>\0<bytes>", deflated.
type looseObject struct {
	io.ReadCloser
	file *os.File
}

func (o looseObject) Close() error { return errors.Join(o.ReadCloser.Close(), o.file.Close()) }

func openLoose(path string) (*Object, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	z, err := zlib.NewReader(f)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", path, err), f.Close())
	}
	closer := looseObject{z, f}
	in := bufio.NewReader(z)
	head, err := in.ReadSlice(0)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", path, err), closer.Close())
	}
	name, digits, _ := bytes.Cut(head[:len(head)-1], []byte(" "))
	kind, err := plumbing.ParseObjectType(string(name))
	n, err2 := strconv.ParseInt(string(digits), 10, 64)
	if err := errors.Join(err, err2); err != nil {
		return nil, errors.Join(fmt.Errorf("read %s: %w", path, err), closer.Close())
	}
	return &Object{Kind: kind, Size: n, Reader: io.LimitReader(in, n), closer: closer}, nil
}

// KindError is an object of another kind than was asked for.
type KindError struct {
	ID   ID
	Kind plumbing.ObjectType // what it is
}

func (e *KindError) Error() string { return fmt.Sprintf("object %s is a %s", e.ID, e.Kind) }

// read reads a tree, commit or tag whole. An object of another kind is a *KindError.
func (s *Store) read(id ID, want plumbing.ObjectType) ([]byte, error) {
	o, err := s.Open(id)
	if err != nil {
		return nil, err
	}
	defer func() { _ = o.Close() }()
	if o.Kind != want {
		return nil, &KindError{ID: id, Kind: o.Kind}
	}
	if o.Size > maxStructure {
		return nil, &LimitError{Reason: fmt.Sprintf("%s %s has %s", o.Kind, id, size(o.Size))}
	}
	body := make([]byte, o.Size)
	if _, err := io.ReadFull(o, body); err != nil {
		return nil, fmt.Errorf("read %s %s: %w", want, id, err)
	}
	return body, nil
}

// Kind tells what an object is.
func (s *Store) Kind(id ID) (plumbing.ObjectType, error) {
	o, err := s.Open(id)
	if err != nil {
		return 0, err
	}
	return o.Kind, o.Close()
}

// Commit reads what a commit refers to.
func (s *Store) Commit(id ID) (Commit, error) {
	body, err := s.read(id, plumbing.CommitObject)
	if err != nil {
		return Commit{}, err
	}
	return ParseCommit(body)
}

// Tree reads a tree; TreeEntries takes it apart.
func (s *Store) Tree(id ID) ([]byte, error) { return s.read(id, plumbing.TreeObject) }

// Peel follows tags to what they are put on.
func (s *Store) Peel(id ID) (ID, error) {
	for range 32 { // a tag on a tag on a tag; git has no limit, nobody has a use
		kind, err := s.Kind(id)
		if err != nil || kind != plumbing.TagObject {
			return id, err
		}
		body, err := s.read(id, plumbing.TagObject)
		if err != nil {
			return id, err
		}
		if id, err = ParseTag(body); err != nil {
			return id, err
		}
	}
	return id, broken("tag %s is put on too many tags", id)
}

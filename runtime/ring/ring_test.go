package ring

import (
	"errors"
	"fmt"
	"os"
	"runtime"
	"strconv"
	"strings"
	"testing"

	"golang.org/x/sys/unix"
)

func open(t *testing.T, limit int64) (*Writer, *Reader, [2]*os.File) {
	t.Helper()
	path := t.TempDir() + "/ring"
	files, err := Create(path)
	check(t, err)
	r, err := OpenReader(path)
	check(t, err)
	t.Cleanup(func() { check(t, errors.Join(files[0].Close(), files[1].Close(), r.Close())) })
	return NewWriter(int(files[0].Fd()), int(files[1].Fd()), limit), r, files
}

func texts(t *testing.T, r *Reader) (out []string) {
	t.Helper()
	check(t, r.Next(func(rec Record) error {
		out = append(out, string(rec.Text))
		return nil
	}))
	return out
}

func check(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

func TestReadWhatWasWritten(t *testing.T) {
	w, r, _ := open(t, 1<<20)
	w.Append(Record{At: 5, Stream: Stdout, Text: []byte("one")}, Record{At: 6, Stream: Stderr})
	var got []string
	check(t, r.Next(func(rec Record) error {
		got = append(got, fmt.Sprint(rec.At, rec.Stream, string(rec.Text)))
		return nil
	}))
	if s := strings.Join(got, ","); s != "5 1one,6 2" {
		t.Errorf("got %q", s)
	}
	if again := texts(t, r); again != nil {
		t.Errorf("again: %q", again)
	}
}

// The newest full segment is always there, in order and without a gap.
func TestRingKeepsTheNewest(t *testing.T) {
	const limit = 1000
	w, r, files := open(t, limit)
	for n := range 500 {
		w.Append(Record{Text: []byte(strconv.Itoa(n))})
	}
	for _, f := range files {
		info, err := f.Stat()
		check(t, err)
		if info.Size() > limit {
			t.Errorf("%d bytes", info.Size())
		}
	}
	got := texts(t, r)
	if len(got) < (limit-headerSize)/(prefixSize+3) {
		t.Errorf("only %d records", len(got))
	}
	for i, s := range got {
		if want := strconv.Itoa(500 - len(got) + i); s != want {
			t.Fatalf("record %d is %s, want %s", i, s, want)
		}
	}
}

// A reader beside a fast writer sees records in order; it may miss some, and never sees half of one.
func TestReadWhileWriting(t *testing.T) {
	w, r, _ := open(t, 4000)
	const last = 20_000
	go func() {
		for n := 1; n <= last; n++ {
			w.Append(Record{At: int64(n), Text: []byte(strings.Repeat("x", n%50) + strconv.Itoa(n))})
		}
	}()
	for seen := 0; seen < last; {
		check(t, r.Next(func(rec Record) error {
			n, err := strconv.Atoi(strings.TrimLeft(string(rec.Text), "x"))
			if err != nil || int64(n) != rec.At || n <= seen || len(rec.Text) != n%50+len(strconv.Itoa(n)) {
				return fmt.Errorf("after %d came %d %q", seen, rec.At, rec.Text)
			}
			seen = n
			return nil
		}))
	}
}

// What a killed writer left half written is not read.
func TestTornRecord(t *testing.T) {
	w, r, files := open(t, 1<<20)
	w.Append(Record{Text: []byte("whole")}, Record{Text: []byte("torn")})
	info, err := files[0].Stat()
	check(t, err)
	check(t, files[0].Truncate(info.Size()-2))
	if got := texts(t, r); len(got) != 1 || got[0] != "whole" {
		t.Errorf("got %q", got)
	}
}

func TestGarbageIsNotRead(t *testing.T) {
	_, r, files := open(t, 1<<20)
	_, err := files[0].WriteAt([]byte("garbage garbage garbage garbage"), headerSize)
	check(t, err)
	if got := texts(t, r); got != nil {
		t.Errorf("got %q", got)
	}
}

// A disk without room costs lines, and nothing else.
func TestDiskIsFull(t *testing.T) {
	files, r := onSmallDisk(t)
	w := NewWriter(int(files[0].Fd()), int(files[1].Fd()), 12_000)
	for n := range 2000 {
		w.Append(Record{Text: []byte(strconv.Itoa(n))}, Record{Text: []byte("second")})
	}
	for _, s := range texts(t, r) {
		if _, err := strconv.Atoi(s); err != nil && s != "second" {
			t.Errorf("read %q", s)
		}
	}
	check(t, errors.Join(files[0].Close(), files[1].Close(), r.Close()))
}

// onSmallDisk makes a ring on a 16 KiB file system that only this test sees: it is mounted in a mount
// namespace that ends with its thread.
func onSmallDisk(t *testing.T) (files [2]*os.File, r *Reader) {
	t.Helper()
	dir := t.TempDir()
	done := make(chan error)
	go func() {
		runtime.LockOSThread()
		err := errors.Join(
			unix.Unshare(unix.CLONE_FS|unix.CLONE_NEWNS),
			unix.Mount("", "/", "", unix.MS_REC|unix.MS_PRIVATE, ""),
			unix.Mount("none", dir, "tmpfs", 0, "size=16k"),
		)
		if err == nil {
			files, err = Create(dir)
		}
		if err == nil {
			r, err = OpenReader(dir)
		}
		done <- err
	}()
	check(t, <-done)
	return files, r
}

func TestLines(t *testing.T) {
	long := strings.Repeat("y", MaxLine)
	l := Lines{Stream: Stdout}
	var got []string
	for _, chunk := range []string{"a", "b\nc\n\n", "d", long, "e\n", "rest"} {
		for _, r := range l.Cut([]byte(chunk), 1) {
			got = append(got, string(r.Text))
		}
	}
	for _, r := range l.Rest(1) {
		got = append(got, string(r.Text))
	}
	want := []string{"ab", "c", "", "d" + long[1:], "ye", "rest"}
	if strings.Join(got, "|") != strings.Join(want, "|") {
		t.Errorf("got %d lines", len(got))
	}
	if l.Rest(1) != nil {
		t.Error("there is still a rest")
	}
}

// What a reader comes too late for is counted, to the line.
func TestMissedRecordsAreCounted(t *testing.T) {
	w, r, _ := open(t, 1000)
	read, missed := 0, uint64(0)
	for n := range 5000 {
		w.Append(Record{Text: []byte(strconv.Itoa(n))})
		if n%777 == 0 || n == 4999 {
			read += len(texts(t, r))
			missed += r.Missed()
		}
	}
	if read+int(missed) != 5000 || missed == 0 {
		t.Errorf("%d were read and %d missed of 5000", read, missed)
	}
	again, err := OpenReader(r.files[0].Name()[:len(r.files[0].Name())-len(Segments[0])])
	check(t, err)
	defer func() { check(t, again.Close()) }()
	again.Seek(r.Position())
	w.Append(Record{Text: []byte("new")})
	if got := texts(t, again); len(got) != 1 || got[0] != "new" || again.Missed() != 0 {
		t.Errorf("after Seek: %q", got)
	}
}

// Containers that an older version started have a shorter header.
func TestOldHeader(t *testing.T) {
	_, r, files := open(t, 1000)
	b := append([]byte(oldMagic), 1, 0, 0, 0, 0, 0, 0, 0)
	check(t, files[0].Truncate(0))
	_, err := files[0].WriteAt(appendRecord(b, Record{Text: []byte("old")}), 0)
	check(t, err)
	if got := texts(t, r); len(got) != 1 || got[0] != "old" || r.Missed() != 0 {
		t.Errorf("got %q", got)
	}
}

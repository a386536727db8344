package platform

import (
	"bytes"
	"strings"
	"testing"
)

// Secrets are hidden wherever the stream is cut.
func TestMask(t *testing.T) {
	config := Config{
		"TOKEN": "abcabcabd", "LONGER": "abcabcabd-and-more", "KEY": "-----BEGIN-----\nMIIEvQIBADANBgkqhkiG\n-----END-----\n",
		"SHORT": "abc", "NODE_ENV": "production",
	}
	const text = "x abcabcabcabd y abcabcabd-and-more z abcabcabd-and-mor production abc MIIEvQIBADANBgkqhkiG\r\n" +
		"-----BEGIN-----\nMIIEvQIBADANBgkqhkiG\n-----END-----\nabcabcab"
	const want = "x abc[TOKEN] y [LONGER] z [TOKEN]-and-mor production abc [KEY]\r\n[KEY]abcabcab"
	for size := 1; size < len(text); size++ {
		m := newMask(config)
		var out bytes.Buffer
		for rest := text; rest != ""; rest = rest[min(size, len(rest)):] {
			out.Write(m.take([]byte(rest[:min(size, len(rest))])))
		}
		out.Write(m.flush())
		if out.String() != want {
			t.Fatalf("in parts of %d: %q", size, out.String())
		}
	}
	m := newMask(config)
	if got := m.hide("it is abcabcabd"); got != "it is [TOKEN]" {
		t.Errorf("hide gives %q", got)
	}
}

// A story hides secrets in what commands print and in what is told about them, also in its copy and its tail.
func TestStoryHidesSecrets(t *testing.T) {
	var out, copied bytes.Buffer
	s := NewStory(&out, nil)
	s.CopyTo(&copied)
	s.Hide(Config{"TOKEN": "very-secret"})
	s.Phase("Running with very-secret")
	w := s.Writer()
	for _, part := range []string{"one very-", "secret two very", "-secre", "t\nthree very-secre"} {
		_, _ = w.Write([]byte(part))
	}
	_ = w.Close()
	s.Warn("very-secret")
	all := out.String() + copied.String() + strings.Join(s.Tail(), "\n")
	if strings.Contains(all, "very-secret") || !strings.Contains(all, "one [TOKEN] two [TOKEN]") || !strings.Contains(all, "three very-secre\n") {
		t.Errorf("told:\n%s", all)
	}
}

// A command that prints without end is told up to what a person would read, with its last lines.
func TestEndlessOutput(t *testing.T) {
	var out bytes.Buffer
	s := NewStory(&out, nil)
	w := s.Writer()
	line := []byte(strings.Repeat("x", 99) + "\n")
	for range 100_000 {
		_, _ = w.Write(line)
	}
	_, _ = w.Write([]byte("the end\n"))
	_ = w.Close()
	if n := out.Len(); n < freeOutput || n > 2*freeOutput {
		t.Errorf("%d bytes are told", n)
	}
	if !strings.Contains(out.String(), "MiB of output are left out here") || !strings.HasSuffix(out.String(), "the end\n") {
		t.Errorf("it ends with %q", out.String()[out.Len()-300:])
	}
	if tail := s.Tail(); tail[len(tail)-1] != "the end" {
		t.Errorf("the tail is %q", tail)
	}
}

// What is kept of a build's output is bounded, and its end is kept.
func TestOutputIsBounded(t *testing.T) {
	file := &closing{}
	o := newBuildOutput(file)
	line := []byte(strings.Repeat("y", 1023) + "\n")
	for range 10 << 10 {
		_, _ = o.Write(line)
	}
	_, _ = o.Write([]byte("the end\n"))
	o.close()
	printed, cut := o.sizes()
	if printed < 10<<20 || cut < 5<<20 || file.Len() > keptOutput+2*keptEnd || !strings.HasSuffix(file.String(), "the end\n") {
		t.Errorf("printed %d, cut %d, kept %d", printed, cut, file.Len())
	}
	if o.wait() != nil {
		t.Error("there may be more after the end")
	}
}

type closing struct{ bytes.Buffer }

func (*closing) Close() error { return nil }

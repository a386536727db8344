package store_test

import (
	"context"
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"testing"
	"time"

	"paas/platform"
)

func TestVault(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	v := s.Vault()
	for _, key := range []string{"a/b/c", "a/b/d", "a/b0", "a-b", "a/é/x"} {
		ok(t, v.Put(ctx, key, []byte(key)))
	}
	ok(t, v.Put(ctx, "a/b/c", nil))
	if value, at, err := v.Fetch(ctx, "a/b/c"); err != nil || len(value) != 0 || time.Since(at) > time.Minute {
		t.Errorf("%q, %v, %v", value, at, err)
	}
	for path, want := range map[string][]string{
		"a/b": {"a/b/c", "a/b/d"}, "a/b/": {"a/b/c", "a/b/d"}, "a/b/c": nil, "": {"a-b", "a/b/c", "a/b/d", "a/b0", "a/é/x"},
	} {
		if got := must(v.Keys(ctx, path))(t); !slices.Equal(got, want) {
			t.Errorf("below %q: %v", path, got)
		}
	}
	ok(t, v.Drop(ctx, "a/b"))
	ok(t, v.Drop(ctx, "nothing"))
	if _, _, err := v.Fetch(ctx, "a/b/d"); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("a dropped key: %v", err)
	}
	if got := must(v.Keys(ctx, "a"))(t); !slices.Equal(got, []string{"a/b0", "a/é/x"}) {
		t.Errorf("left are %v", got)
	}
}

// A lock's holder may be another process, and it may have been killed.
func TestVaultLocks(t *testing.T) {
	ctx, path := context.Background(), filepath.Join(t.TempDir(), "paas.db")
	one, two := open(t, path).Vault(), open(t, path).Vault()
	claim := func(took bool, err error) bool { return must(took, err)(t) }
	if !claim(one.Claim(ctx, "x", "one", time.Minute)) || claim(two.Claim(ctx, "x", "two", time.Minute)) || !claim(one.Claim(ctx, "x", "one", 50*time.Millisecond)) {
		t.Error("a lock that is held was given away, or not prolonged")
	}
	ok(t, two.Release(ctx, "x", "two")) // it does not have it
	if claim(two.Claim(ctx, "x", "two", time.Minute)) {
		t.Error("who does not hold a lock has given it back")
	}
	time.Sleep(60 * time.Millisecond)
	if !claim(two.Claim(ctx, "x", "two", time.Minute)) || claim(one.Claim(ctx, "x", "one", time.Minute)) {
		t.Error("a lease that is over holds")
	}
	ok(t, two.Release(ctx, "x", "two"))
	if !claim(one.Claim(ctx, "x", "one", time.Minute)) {
		t.Error("a lock that was given back is not free")
	}
}

func TestOwnCertificatesAndDomains(t *testing.T) {
	s, ctx := fresh(t), context.Background()
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	must(s.CreateAppFor(ctx, "shop", ""))(t)
	own := func(f string) *platform.OwnCertificate {
		return &platform.OwnCertificate{Fingerprint: f, KeyPair: platform.KeyPair{Chain: []byte("c" + f), Key: []byte("k")}}
	}
	ok(t, s.ReplaceCertificates(ctx, "blog", nil, own("1")))
	ok(t, s.ReplaceCertificates(ctx, "blog", nil, own("2")))
	ok(t, s.ReplaceCertificates(ctx, "blog", []string{"1"}, own("3")))
	list := must(s.Certificates(ctx, "blog"))(t)
	if len(list) != 2 || list[0].Fingerprint != "3" || string(list[1].Chain) != "c2" {
		t.Errorf("%+v", list)
	}
	ok(t, s.AddDomain(ctx, "blog", "www.example.com"))
	wantKind(t, s.SetDomains(ctx, "shop", []string{"a.example.com", "www.example.com"}), platform.Conflict)
	if got := must(s.Domains(ctx, "shop"))(t); len(got) != 0 {
		t.Errorf("half of a set that failed is there: %v", got)
	}
	ok(t, s.SetDomains(ctx, "blog", []string{"b.example.com", "a.example.com"}))
	if got := must(s.Domains(ctx, "blog"))(t); !slices.Equal(got, []string{"a.example.com", "b.example.com"}) {
		t.Errorf("%v", got)
	}
	ok(t, s.SetGlobalDomains(ctx, []string{"z.example.org", "a.example.org"}))
	if got := must(s.GlobalDomains(ctx))(t); !slices.Equal(got, []string{"z.example.org", "a.example.org"}) {
		t.Errorf("%v", got)
	}
	ok(t, s.DestroyApp(ctx, "blog"))
	must(s.CreateAppFor(ctx, "blog", ""))(t)
	if list := must(s.Certificates(ctx, "blog"))(t); len(list) != 0 {
		t.Errorf("a destroyed app's certificates are there: %d", len(list))
	}
}

package edge

import (
	"crypto/rand"
	"crypto/sha256"
	"encoding/base64"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/crypto/bcrypt"

	"paas/platform"
	"paas/router/wire"
)

const (
	hashCost       = 10   // bcrypt's; about 50 ms
	maxCredentials = 512  // bytes of name and password together, encoded
	knownSize      = 1024 // credentials that are remembered, right and wrong ones each
	checksAtOnce   = 2    // so that guessing does not take the host's processors
	checksWaiting  = 16
)

// Hash makes what is stored of a password. At most 72 bytes count with bcrypt; a longer one is refused.
func Hash(password []byte) (string, error) {
	h, err := bcrypt.GenerateFromPassword(password, hashCost)
	if errors.Is(err, bcrypt.ErrPasswordTooLong) {
		return "", platform.Errorf(platform.Usage, "the password is longer than 72 bytes")
	}
	if err != nil {
		return "", fmt.Errorf("hash password: %w", err)
	}
	return string(h), nil
}

// lock lets in who knows a password. A hash is made to be slow, so who has passed once is remembered by a
// digest with a key that nobody outside this process knows.
type lock struct {
	users   []platform.Password
	key     [32]byte
	places  chan struct{}
	waiting atomic.Int32

	mu           sync.RWMutex
	right, wrong map[[32]byte]struct{}
}

// newLock goes on with the one before if the users are the same. It is nil without users.
func newLock(users []platform.Password, before *lock) *lock {
	if len(users) == 0 {
		return nil
	}
	if before != nil && slices.Equal(before.users, users) {
		return before
	}
	l := &lock{users: slices.Clone(users), places: make(chan struct{}, checksAtOnce)}
	_, _ = rand.Read(l.key[:]) // never fails (crypto/rand)
	return l
}

func (r *Rules) unlock(req *wire.Request) *Answer {
	given := value(req.Fields, "authorization")
	switch ok, busy := r.lock.opens(given); {
	case ok:
		return nil
	case busy:
		a := r.page(req, 429, "Too many requests", "Too many passwords are being checked. Try again in a moment.")
		a.Fields = append(a.Fields, retryAfter(time.Second))
		return a
	}
	a := r.page(req, 401, "Unauthorized", "A name and a password are needed here.")
	a.Fields = append(a.Fields, field("WWW-Authenticate", `Basic realm="app", charset="UTF-8"`))
	return a
}

// opens checks an Authorization field (RFC 7617). It blocks while a password is new.
func (l *lock) opens(given []byte) (ok, busy bool) {
	scheme, encoded, _ := cut(given, ' ')
	encoded = trim(encoded)
	if !is(scheme, "basic") || len(encoded) > maxCredentials {
		return false, false
	}
	var buffer [maxCredentials + len(l.key)]byte
	copy(buffer[:], l.key[:])
	n, err := base64.StdEncoding.Decode(buffer[len(l.key):], encoded)
	if err != nil {
		return false, false
	}
	plain := buffer[:len(l.key)+n]
	digest := sha256.Sum256(plain)
	if ok, known := l.recall(digest); known {
		return ok, false
	}
	return l.check(slices.Clone(plain[len(l.key):]), digest)
}

func (l *lock) check(plain []byte, digest [32]byte) (ok, busy bool) {
	if l.waiting.Add(1) > checksWaiting {
		l.waiting.Add(-1)
		return false, true
	}
	l.places <- struct{}{}
	l.waiting.Add(-1)
	ok = l.compare(plain)
	<-l.places
	l.remember(digest, ok)
	return ok, false
}

// compare takes as long for a name that is not there.
func (l *lock) compare(plain []byte) bool {
	name, password, _ := cut(plain, ':')
	i := slices.IndexFunc(l.users, func(u platform.Password) bool { return u.Name == string(name) })
	err := bcrypt.CompareHashAndPassword([]byte(l.users[max(i, 0)].Hash), password)
	return i >= 0 && err == nil
}

func (l *lock) recall(digest [32]byte) (ok, known bool) {
	l.mu.RLock()
	defer l.mu.RUnlock()
	if _, ok = l.right[digest]; ok {
		return true, true
	}
	_, known = l.wrong[digest]
	return false, known
}

// remember keeps right and wrong ones apart, so that guesses do not push anybody out.
func (l *lock) remember(digest [32]byte, ok bool) {
	l.mu.Lock()
	defer l.mu.Unlock()
	list := &l.wrong
	if ok {
		list = &l.right
	}
	if *list == nil || len(*list) >= knownSize {
		*list = map[[32]byte]struct{}{}
	}
	(*list)[digest] = struct{}{}
}

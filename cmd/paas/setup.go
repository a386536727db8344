package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"

	"paas/gitreceive"
	"paas/platform"
	"paas/store"
)

// words is a flag that may be given more than once.
type words []string

func (w *words) String() string { return strings.Join(*w, " ") }

// Set implements flag.Value.
func (w *words) Set(s string) error { *w = append(*w, s); return nil }

// setup makes the data directory ready: host key, database, first admins, and on demand the base image.
// Doing it again changes nothing.
func setup(ctx context.Context, args []string, env environ) error {
	var keys words
	var name, stack string
	var prepare bool
	s, err := readSettings("setup", args, env, func(set *flag.FlagSet) {
		set.Var(&keys, "admin-key", "a public key, or a file of them, that may do everything (repeatable)")
		set.StringVar(&name, "name", "admin", "what to call the keys")
		set.StringVar(&stack, "stack", "", "a base image that stacks:export wrote, instead of making one")
		set.BoolVar(&prepare, "prepare", false, "make base images and toolchains now, which takes about a minute")
	})
	if err != nil {
		return err
	}
	if err := s.makeData(); err != nil {
		return err
	}
	fingerprint, err := gitreceive.HostKey(s.Data)
	if err != nil {
		return err
	}
	if err := addAdmins(ctx, s, keys, name, env); err != nil {
		return err
	}
	_, _ = fmt.Fprintf(env.stdout, "host key %s\n", fingerprint)
	if prepare || stack != "" {
		return s.prepareBase(ctx, stack, prepare, env)
	}
	return nil
}

func addAdmins(ctx context.Context, s settings, given words, name string, env environ) error {
	db, err := store.Open(ctx, filepath.Join(s.Data, databaseName))
	if err != nil {
		return err
	}
	defer func() { _ = db.Close() }()
	lines, err := keyLines(given)
	if err != nil {
		return err
	}
	for _, line := range lines {
		if err := addAdmin(ctx, db, name, line, env); err != nil {
			return err
		}
	}
	return nil
}

// addAdmin adds one key under name, or name-2, name-3 … when that is taken by another key.
func addAdmin(ctx context.Context, db *store.Store, name, line string, env environ) error {
	public, fingerprint, err := platform.ParsePublicKey(line)
	if err != nil {
		return err
	}
	if k, err := db.KeyByFingerprint(ctx, fingerprint); err == nil {
		_, _ = fmt.Fprintf(env.stdout, "admin key %s is there already (%s)\n", fingerprint, k.Name)
		return nil
	}
	for n := 1; n < 100; n++ {
		try := name
		if n > 1 {
			try = fmt.Sprintf("%s-%d", name, n)
		}
		err = db.AddKey(ctx, platform.Key{Name: try, Fingerprint: fingerprint, Public: public, Admin: true})
		if platform.KindOf(err) == platform.Conflict {
			continue
		}
		if err == nil {
			_, _ = fmt.Fprintf(env.stdout, "admin key %s added (%s)\n", fingerprint, try)
		}
		return err
	}
	return err
}

// keyLines reads key lines from the words themselves and from files that they name.
func keyLines(given words) (lines []string, err error) {
	for _, word := range given {
		if _, _, err := platform.ParsePublicKey(word); err == nil {
			lines = append(lines, word)
			continue
		}
		text, err := os.ReadFile(filepath.Clean(word))
		if err != nil {
			return nil, platform.Errorf(platform.Usage, "--admin-key %s is neither a public key nor a file of them", word)
		}
		for line := range strings.Lines(string(text)) {
			if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
				lines = append(lines, line)
			}
		}
	}
	return lines, nil
}

// prepareBase makes what the first build would have to make, its base image from a file if one is named.
func (s settings) prepareBase(ctx context.Context, stack string, all bool, env environ) error {
	unlock, err := s.lock()
	if platform.KindOf(err) == platform.Conflict && stack == "" {
		_, _ = fmt.Fprintln(env.stdout, "paas is running: its first build makes the base image")
		return nil
	}
	if err != nil {
		return withHint(err, "paas is running, so ask it: paas stacks:import < "+stack)
	}
	defer unlock()
	log := slog.New(slog.NewTextHandler(env.stderr, &slog.HandlerOptions{Level: slog.LevelWarn}))
	r, err := openRooms(ctx, s, env, log)
	if err != nil {
		return err
	}
	defer r.close(log)
	p := platform.New(platform.Rooms{
		Store: r.store, Builder: r.builder, Bases: r.builder, Runner: r.runtime, Images: r.disk(s), Log: log,
	}, platform.Settings{})
	defer p.Close()
	if stack != "" {
		if err := importStack(ctx, p, stack, env); err != nil {
			return err
		}
	}
	if !all {
		return nil
	}
	warnings, err := r.network.Warnings()
	if err != nil {
		return err
	}
	for _, w := range warnings {
		if w.Fix != "" {
			_, _ = fmt.Fprintf(env.stderr, " !     %s\n       %s\n", w.Text, w.Fix)
		}
	}
	story := platform.NewStory(env.stdout, nil)
	defer story.End()
	return p.PrepareStack(ctx, story)
}

func importStack(ctx context.Context, p *platform.Platform, file string, env environ) error {
	f, err := os.Open(filepath.Clean(file))
	if err != nil {
		return platform.Errorf(platform.Usage, "--stack %s cannot be read: %v", file, err)
	}
	defer func() { _ = f.Close() }()
	call := platform.Call{Actor: platform.Actor{Name: "root", Admin: true}, In: f, Out: env.stdout, Err: env.stderr}
	change, err := p.ImportStack(ctx, call, platform.StackInput{})
	if err != nil {
		return err
	}
	return change.Text(env.stdout)
}

func withHint(err error, hint string) error {
	var e *platform.Error
	if errors.As(err, &e) {
		return e.WithHint("%s", hint)
	}
	return err
}

// uninstall removes everything that containers left on the host, and with --purge the data.
func uninstall(ctx context.Context, args []string, env environ) error {
	var purge bool
	var confirmed string
	s, err := readSettings("uninstall", args, env, func(set *flag.FlagSet) {
		set.BoolVar(&purge, "purge", false, "remove apps, repositories, config and logs as well")
		set.StringVar(&confirmed, "confirm", "", "this host's name, to confirm --purge")
	})
	if err != nil {
		return err
	}
	if _, err := os.Stat(s.Data); errors.Is(err, os.ErrNotExist) {
		return nil
	}
	host, err := os.Hostname()
	if err != nil {
		return fmt.Errorf("ask this host's name: %w", err)
	}
	if purge && confirmed != host {
		return platform.Errorf(platform.Usage, "--purge removes every app in %s for good", s.Data).
			WithHint("confirm it with --confirm %s", host)
	}
	unlock, err := s.lock()
	if err != nil {
		return err
	}
	defer unlock()
	if err := s.removeContainers(ctx, env); err != nil {
		return err
	}
	if purge {
		return os.RemoveAll(s.Data)
	}
	return nil
}

func (s settings) removeContainers(ctx context.Context, env environ) error {
	log := slog.New(slog.NewTextHandler(env.stderr, nil))
	r, err := openRooms(ctx, s, env, log)
	if err != nil {
		return err
	}
	defer r.close(log)
	return r.destroy(ctx)
}

package php

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/signal"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"paas/buildpacks/static"
)

const (
	defaultPort = "5000"
	drainTime   = 20 * time.Second // less than the 30 s a platform commonly waits before SIGKILL
	headerTime  = 10 * time.Second
	idleTime    = 5 * time.Minute // longer than a router keeps idle connections, so that it closes first
	maxHeader   = 64 << 10
)

type options struct {
	root   string
	config string // of PHP's process manager, more of it
}

// Main is "paas php": it serves the app in the working directory on PORT, with PHP's process manager behind it,
// until SIGTERM, SIGINT or the end of ctx; then it finishes the requests in flight. When the process manager ends,
// so does Main, with an error. env is os.Getenv.
func Main(ctx context.Context, args []string, env func(string) string, out io.Writer) error {
	o, err := parse(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	workers := countWorkers(env)
	f, err := newFront(o, workers, out)
	if err != nil {
		return err
	}
	defer func() { _ = f.files.Close() }()
	m, err := startManager(ctx, o, workers, out)
	if err != nil {
		return err
	}
	f.socket = m.socket
	err = f.serve(ctx, m, env("PORT"))
	return errors.Join(err, m.stop())
}

func parse(args []string, out io.Writer) (options, error) {
	var o options
	flags := flag.NewFlagSet("paas php", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.root, "root", ".", "serve this `directory` of the app")
	flags.StringVar(&o.config, "fpm-config", "", "more settings of the pool of processes, in this `file`")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("paas php: unexpected argument %q", flags.Arg(0))
	}
	return o, nil
}

func newFront(o options, workers int, out io.Writer) (*front, error) {
	here, err := os.Getwd()
	if err == nil {
		here, err = filepath.EvalSymlinks(here)
	}
	if err != nil {
		return nil, fmt.Errorf("serve the app: %w", err)
	}
	if !filepath.IsLocal(o.root) {
		return nil, fmt.Errorf("paas php: --root %q is not a directory of the app", o.root)
	}
	if info, err := os.Stat(o.root); err != nil || !info.IsDir() {
		return nil, fmt.Errorf("paas php: there is no directory %s", o.root)
	}
	files, err := static.Open(static.Options{Root: here})
	if err != nil {
		return nil, err
	}
	return &front{
		app: here, root: filepath.Clean(o.root), files: files, places: make(chan struct{}, workers), errors: out, started: time.Now(),
	}, nil
}

// serve listens when PHP is there, so that the first request is answered.
func (f *front) serve(ctx context.Context, m *manager, port string) error {
	if port == "" {
		port = defaultPort
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return fmt.Errorf("paas php: PORT is %q, which is not a port number", port)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", ":"+port)
	if err != nil {
		return fmt.Errorf("listen on PORT %s: %w", port, err)
	}
	_, _ = fmt.Fprintf(f.errors, "Serving PHP from %s on %s with %d processes\n", f.root, listener.Addr(), cap(f.places))
	server := &http.Server{Handler: f, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case err := <-m.ended:
		return errors.Join(fmt.Errorf("php-fpm ended: %w", orUnexpected(err)), server.Close())
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err = server.Shutdown(drain)
	<-failed
	return err
}

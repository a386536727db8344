package static

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
	"strconv"
	"syscall"
	"time"
)

const (
	defaultPort = "5000"
	drainTime   = 25 * time.Second // less than the 30 s a platform commonly waits before SIGKILL
	headerTime  = 10 * time.Second
	idleTime    = 5 * time.Minute // longer than a router keeps idle connections, so that it closes first
	maxHeader   = 64 << 10
)

// Main is "paas static": it serves a directory on PORT until SIGTERM, SIGINT or the end of ctx, then
// finishes the requests in flight. env is os.Getenv; the first line of output tells what is served.
func Main(ctx context.Context, args []string, env func(string) string, out io.Writer) error {
	options, err := parse(args, out)
	if errors.Is(err, flag.ErrHelp) {
		return nil
	}
	if err != nil {
		return err
	}
	handler, err := Open(options)
	if err != nil {
		return err
	}
	defer func() { _ = handler.Close() }()
	ctx, stop := signal.NotifyContext(ctx, syscall.SIGTERM, os.Interrupt)
	defer stop()
	listener, err := listen(ctx, env("PORT"))
	if err != nil {
		return err
	}
	for _, problem := range handler.Problems {
		_, _ = fmt.Fprintln(out, problem)
	}
	_, _ = fmt.Fprintf(out, "Serving %s on %s\n", options.Root, listener.Addr())
	return serve(ctx, listener, handler)
}

func parse(args []string, out io.Writer) (Options, error) {
	var o Options
	flags := flag.NewFlagSet("paas static", flag.ContinueOnError)
	flags.SetOutput(out)
	flags.StringVar(&o.Root, "root", ".", "serve this `directory`")
	flags.StringVar(&o.Fallback, "fallback", "", "answer paths that do not exist with this `file`, status 200")
	flags.StringVar(&o.ErrorPage, "error-page", "404.html", "answer paths that do not exist with this `file`, status 404")
	flags.BoolVar(&o.CleanURLs, "clean-urls", true, "serve about.html as /about")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if flags.NArg() > 0 {
		return o, fmt.Errorf("paas static: unexpected argument %q", flags.Arg(0))
	}
	return o, nil
}

func listen(ctx context.Context, port string) (net.Listener, error) {
	if port == "" {
		port = defaultPort
	}
	if _, err := strconv.ParseUint(port, 10, 16); err != nil {
		return nil, fmt.Errorf("paas static: PORT is %q, which is not a port number", port)
	}
	var config net.ListenConfig
	listener, err := config.Listen(ctx, "tcp", ":"+port)
	if err != nil {
		return nil, fmt.Errorf("listen on PORT %s: %w", port, err)
	}
	return listener, nil
}

func serve(ctx context.Context, listener net.Listener, handler http.Handler) error {
	server := &http.Server{Handler: handler, ReadHeaderTimeout: headerTime, IdleTimeout: idleTime, MaxHeaderBytes: maxHeader}
	failed := make(chan error, 1)
	go func() { failed <- server.Serve(listener) }()
	select {
	case err := <-failed:
		return fmt.Errorf("serve on %s: %w", listener.Addr(), err)
	case <-ctx.Done():
	}
	drain, cancel := context.WithTimeout(context.WithoutCancel(ctx), drainTime)
	defer cancel()
	err := server.Shutdown(drain)
	<-failed
	return err
}

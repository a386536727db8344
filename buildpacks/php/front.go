package php

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"time"

	"paas/buildpacks/fastcgi"
	"paas/buildpacks/static"
)

// front answers requests: files as they are, scripts by PHP, and everything else by the front page, index.php, as
// frameworks expect it.
//
//	/style.css      a file below the root
//	/blog/          blog/index.php, else blog/index.html
//	/tool.php/x     tool.php with PATH_INFO /x
//	/anything/else  index.php
//
// Symlinks may lead anywhere inside the app and nowhere else. What begins with a dot, PHP's own files, and what is
// there for the platform or Composer is never answered as it is.
type front struct {
	app     string // absolute, without symlinks
	root    string // relative to app, "." for all of it
	socket  string // of PHP's process manager
	files   *static.Handler
	places  chan struct{} // as many requests are with PHP as it has processes; the others wait here
	errors  io.Writer
	started time.Time
}

func (f *front) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	clean := path.Clean("/" + r.URL.Path)
	if strings.HasSuffix(r.URL.Path, "/") && clean != "/" {
		clean += "/"
	}
	if hidden(clean) || f.root == "." && private(clean) {
		http.NotFound(w, r)
		return
	}
	t := f.find(clean)
	switch {
	case t.script != "":
		f.run(w, r, t)
	case t.redirect:
		target := url.URL{Path: clean + "/", RawQuery: r.URL.RawQuery}
		w.Header().Set("Location", target.String())
		w.WriteHeader(http.StatusMovedPermanently)
	case t.file == "" || !f.send(w, r, t.file):
		http.NotFound(w, r)
	}
}

// hidden tells whether a part of a path begins with a dot, other than /.well-known. No file system takes a NUL.
func hidden(clean string) bool {
	for i, part := range strings.Split(strings.Trim(clean, "/"), "/") {
		if strings.HasPrefix(part, ".") && (i > 0 || part != ".well-known") {
			return true
		}
	}
	return strings.ContainsRune(clean, 0)
}

// private tells whether a path is of what lies beside the pages when the whole app is served.
func private(clean string) bool {
	top, _, _ := strings.Cut(strings.TrimPrefix(clean, "/"), "/")
	return slices.Contains([]string{vendor, "node_modules", composerFile, lockFile, "Procfile", "app.json", "Aptfile", "CHECKS", "package.json",
		"package-lock.json", "yarn.lock", "artisan", "Dockerfile"}, top)
}

// target is what answers a request.
type target struct {
	script   string // relative to the root
	info     string // PATH_INFO
	file     string // relative to app
	redirect bool   // to the same with a slash
}

// find goes from the most particular answer to the front page.
func (f *front) find(clean string) target {
	if name, info, ok := splitScript(clean); ok && f.regular(name) {
		return target{script: name, info: info}
	}
	name := strings.Trim(clean, "/")
	info, rel, err := f.stat(name)
	switch {
	case err == nil && info.Mode().IsRegular() && !isSource(name) && !strings.HasSuffix(clean, "/"):
		return target{file: rel}
	case err == nil && info.IsDir():
		if t, ok := f.index(name); ok {
			t.redirect = name != "" && !strings.HasSuffix(clean, "/")
			if t.redirect {
				t.script = ""
			}
			return t
		}
	}
	if f.regular("index.php") {
		return target{script: "index.php"}
	}
	return target{}
}

// index is the page of a directory.
func (f *front) index(dir string) (target, bool) {
	if name := path.Join(dir, "index.php"); f.regular(name) {
		return target{script: name}, true
	}
	info, rel, err := f.stat(path.Join(dir, "index.html"))
	return target{file: rel}, err == nil && info.Mode().IsRegular()
}

// splitScript finds the first part of a path that is called like a script.
func splitScript(clean string) (name, info string, ok bool) {
	for at := 0; ; {
		i := strings.Index(clean[at:], ".php")
		if i < 0 {
			return "", "", false
		}
		at += i + len(".php")
		if at == len(clean) || clean[at] == '/' {
			return strings.TrimPrefix(clean[:at], "/"), clean[at:], true
		}
	}
}

// isSource tells whether a file is PHP's, which nobody may read.
func isSource(name string) bool {
	switch strings.ToLower(path.Ext(name)) {
	case ".php", ".phtml", ".phar", ".phps", ".inc", ".php3", ".php4", ".php5", ".php7", ".php8", ".twig", ".sqlite", ".sqlite3", ".db":
		return true
	}
	return false
}

func (f *front) regular(name string) bool {
	info, _, err := f.stat(name)
	return err == nil && info.Mode().IsRegular()
}

// stat follows symlinks, and says where in the app they end.
func (f *front) stat(name string) (info fs.FileInfo, rel string, err error) {
	real, err := filepath.EvalSymlinks(filepath.Join(f.app, f.root, name))
	if err != nil {
		return nil, "", err
	}
	rel, err = filepath.Rel(f.app, real)
	if err != nil || rel != "." && !filepath.IsLocal(rel) {
		return nil, "", fs.ErrNotExist
	}
	info, err = os.Stat(real)
	return info, rel, err
}

// send answers with a file. One that is older than this process is part of the release, and known by its content;
// an uploaded one may change, and is known by its time.
func (f *front) send(w http.ResponseWriter, r *http.Request, rel string) bool {
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are allowed", http.StatusMethodNotAllowed)
		return true
	}
	info, err := os.Stat(filepath.Join(f.app, rel))
	if err != nil {
		return false
	}
	if info.ModTime().Before(f.started) {
		return f.files.Send(w, r, rel)
	}
	file, err := os.Open(filepath.Join(f.app, rel))
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	if kind, known := static.ContentType(rel); known {
		w.Header().Set("Content-Type", kind)
	}
	w.Header().Set("Cache-Control", "no-cache")
	http.ServeContent(w, r, rel, info.ModTime(), file)
	return true
}

// run has PHP answer.
func (f *front) run(w http.ResponseWriter, r *http.Request, t target) {
	body, length, err := sized(w, r)
	if err != nil {
		http.Error(w, "the request's body is too large or incomplete", http.StatusRequestEntityTooLarge)
		return
	}
	defer func() { _ = body.Close() }()
	select {
	case f.places <- struct{}{}:
		defer func() { <-f.places }()
	case <-r.Context().Done():
		return
	}
	if err := f.ask(w, r, fastcgi.Request{Params: f.params(r, t, length), Body: body, Errors: f.errors}); err != nil && r.Context().Err() == nil {
		_, _ = fmt.Fprintf(f.errors, "%s %s: %v\n", r.Method, r.URL.Path, err)
	}
}

// ask copies PHP's answer as it comes. The end of the client's connection ends PHP's.
func (f *front) ask(w http.ResponseWriter, r *http.Request, q fastcgi.Request) error {
	conn, err := dial(r.Context(), f.socket)
	if err != nil {
		http.Error(w, "502: PHP does not answer", http.StatusBadGateway)
		return err
	}
	defer context.AfterFunc(r.Context(), func() { _ = conn.Close() })()
	res, err := fastcgi.Do(conn, q)
	if err != nil {
		http.Error(w, "502: PHP gave no answer", http.StatusBadGateway)
		return err
	}
	defer func() { _ = res.Body.Close() }()
	for name, values := range res.Header {
		w.Header()[name] = values
	}
	w.WriteHeader(res.Status)
	return stream(w, res.Body)
}

func dial(ctx context.Context, socket string) (net.Conn, error) {
	var d net.Dialer
	return d.DialContext(ctx, "unix", socket)
}

// stream passes on what comes, when it comes.
func stream(w http.ResponseWriter, from io.Reader) error {
	flush := http.NewResponseController(w)
	buf := make([]byte, 32<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			if _, err := w.Write(buf[:n]); err != nil {
				return err
			}
			if err := flush.Flush(); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

package static

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net/http"
	"net/url"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"
)

// Options is how a Handler serves.
type Options struct {
	Root      string // directory, relative to the working directory or absolute
	Fallback  string // file below Root
	ErrorPage string // file below Root
	CleanURLs bool
}

// Handler serves the files of one directory, which must not change while it does. Symlinks that leave the
// directory, names that start with a dot (other than /.well-known) and anything that is not a regular file
// do not exist for it.
type Handler struct {
	Options
	Problems []string // lines of the site's rules that are not followed, and why

	root    *os.Root
	private bool // the root is the app itself: its settings are not part of the site
	rules   []rule
	headers []headerRule
	started time.Time
	tags    sync.Map // name of a file -> *tag
}

// Open opens the root and reads the site's own rules. The caller closes the Handler.
func Open(o Options) (*Handler, error) {
	root, err := os.OpenRoot(o.Root)
	if err != nil {
		return nil, fmt.Errorf("serve %s: %w", o.Root, err)
	}
	h := &Handler{Options: o, root: root, started: time.Now()}
	if err := h.prepare(); err != nil {
		return nil, errors.Join(fmt.Errorf("serve %s: %w", o.Root, err), root.Close())
	}
	return h, nil
}

func (h *Handler) prepare() error {
	here, err := os.Getwd()
	if err != nil {
		return err
	}
	there, err := filepath.Abs(h.Root)
	if err != nil {
		return err
	}
	h.private = here == there
	redirects, err := h.read(redirectsFile)
	if err != nil {
		return err
	}
	headers, err := h.read(headersFile)
	if err != nil {
		return err
	}
	var wrong, more []string
	h.rules, wrong = parseRedirects(redirects)
	h.headers, more = parseHeaders(headers)
	h.Problems = append(wrong, more...)
	return nil
}

// read reads a file of rules; one that is missing, or no file of the site's, is empty.
func (h *Handler) read(name string) (string, error) {
	file, err := h.open(name)
	if err != nil {
		return "", nil
	}
	defer func() { _ = file.Close() }()
	text, err := io.ReadAll(io.LimitReader(file, maxRules))
	return string(text), err
}

// Close closes the root.
func (h *Handler) Close() error { return h.root.Close() }

func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		w.Header().Set("Allow", "GET, HEAD")
		http.Error(w, "only GET and HEAD are allowed", http.StatusMethodNotAllowed)
		return
	}
	if rule, target, ok := h.rule(r); ok && (rule.force || !h.exists(r.URL.Path)) {
		h.follow(w, r, rule, target)
		return
	}
	h.serve(w, r)
}

// serve answers with what is at the path.
func (h *Handler) serve(w http.ResponseWriter, r *http.Request) {
	name, ok := h.name(r.URL.Path)
	if !ok {
		h.notFound(w, r)
		return
	}
	if h.isDir(name) && !strings.HasSuffix(r.URL.Path, "/") {
		redirect(w, r)
		return
	}
	for _, candidate := range h.candidates(name, strings.HasSuffix(r.URL.Path, "/")) {
		if h.send(w, r, candidate, http.StatusOK) {
			return
		}
	}
	h.missing(w, r)
}

// rule is the first rule for a request, and where it leads. One that leads to where the request is already counts
// for nothing.
func (h *Handler) rule(r *http.Request) (rule, string, bool) {
	for _, rule := range h.rules {
		target, ok := rule.target(host(r), r.URL)
		if ok && (!rule.moves() || target != r.URL.RequestURI()) {
			return rule, target, true
		}
	}
	return rule{}, "", false
}

// exists tells whether there is a file for a path, or a directory that has a page.
func (h *Handler) exists(urlPath string) bool {
	name, ok := h.name(urlPath)
	if !ok {
		return false
	}
	slash := strings.HasSuffix(urlPath, "/") || h.isDir(name)
	return slices.ContainsFunc(h.candidates(name, slash), func(candidate string) bool {
		info, err := h.root.Stat(candidate)
		return err == nil && info.Mode().IsRegular()
	})
}

// follow sends the browser to the target, or answers with what is there.
func (h *Handler) follow(w http.ResponseWriter, r *http.Request, rule rule, target string) {
	if rule.moves() {
		w.Header().Set("Location", target)
		w.WriteHeader(rule.status)
		return
	}
	page, _, _ := strings.Cut(target, "?")
	if name, ok := h.name(page); ok {
		candidates := append(h.candidates(name, strings.HasSuffix(page, "/")), path.Join(name, "index.html"))
		for _, candidate := range candidates {
			if h.send(w, r, candidate, rule.status) {
				return
			}
		}
	}
	h.notFound(w, r)
}

// name is the path below the root that a URL means, "." for the root itself.
func (h *Handler) name(urlPath string) (string, bool) {
	clean := strings.TrimPrefix(path.Clean("/"+urlPath), "/")
	if clean == "" {
		return ".", true
	}
	for i, part := range strings.Split(clean, "/") {
		if strings.HasPrefix(part, ".") && (i > 0 || part != ".well-known") {
			return "", false
		}
	}
	if clean == redirectsFile || clean == headersFile || h.private && settings(clean) || strings.ContainsRune(clean, 0) {
		return "", false
	}
	return clean, true
}

// settings tells whether a file of the app is for the platform and not for visitors.
func settings(name string) bool {
	top, _, _ := strings.Cut(name, "/")
	return slices.Contains([]string{"Procfile", "app.json", "static.json", "Staticfile", "CHECKS", "package.json",
		"package-lock.json", "node_modules"}, top)
}

// candidates are the files that may stand for a name, best first.
func (h *Handler) candidates(name string, slash bool) []string {
	if slash {
		return []string{path.Join(name, "index.html")}
	}
	if h.CleanURLs {
		return []string{name, name + ".html"}
	}
	return []string{name}
}

func (h *Handler) isDir(name string) bool {
	info, err := h.root.Stat(name)
	return err == nil && info.IsDir() && name != "."
}

// redirect adds the slash that relative links in a directory's page need. The target begins with exactly
// one slash, so that it cannot name another host.
func redirect(w http.ResponseWriter, r *http.Request) {
	target := url.URL{Path: path.Clean("/"+r.URL.Path) + "/", RawQuery: r.URL.RawQuery}
	w.Header().Set("Location", target.EscapedPath()+query(target.RawQuery))
	w.WriteHeader(http.StatusMovedPermanently)
}

func query(raw string) string {
	if raw == "" {
		return ""
	}
	return "?" + raw
}

// missing answers for what is not there: with the fallback where a page was asked for.
func (h *Handler) missing(w http.ResponseWriter, r *http.Request) {
	if h.Fallback != "" && isPage(r.URL.Path) && h.send(w, r, h.Fallback, http.StatusOK) {
		return
	}
	h.notFound(w, r)
}

func (h *Handler) notFound(w http.ResponseWriter, r *http.Request) {
	if h.ErrorPage != "" && h.send(w, r, h.ErrorPage, http.StatusNotFound) {
		return
	}
	w.Header().Set("Cache-Control", "no-cache")
	h.apply(w.Header(), r)
	http.Error(w, "404: there is nothing here", http.StatusNotFound)
}

// isPage tells whether a path may be one of a page's own routes. A missing script or image is missing:
// answering it with a page only moves the error into the browser.
func isPage(urlPath string) bool {
	kind, known := contentType(urlPath)
	return !known || strings.HasPrefix(kind, "text/html")
}

// send answers with a file, in the best encoding that it lies there in. It is false when there is no such file.
func (h *Handler) send(w http.ResponseWriter, r *http.Request, name string, status int) bool {
	file, err := h.open(name)
	if err != nil {
		return false
	}
	defer func() { _ = file.Close() }()
	kind, err := h.kind(file, name)
	if err != nil {
		return false
	}
	body, encoding := h.encoded(r, file, name)
	defer func() { _ = body.Close() }() // a second close of the same file does nothing
	tag, err := h.tag(body, name+encoding)
	if err != nil {
		return false
	}
	h.describe(w.Header(), name, kind, tag)
	w.Header().Set("Cache-Control", cacheControl(name, status))
	if encoding != "" {
		w.Header().Set("Content-Encoding", encoding)
	}
	h.apply(w.Header(), r)
	h.write(w, r, body, status)
	return true
}

func (h *Handler) describe(header http.Header, name, kind, tag string) {
	header.Set("Content-Type", kind)
	header.Set("ETag", tag)
	if h.hasEncoded(name) {
		header.Set("Vary", "Accept-Encoding")
	}
}

// write leaves ranges and conditions to net/http. The time of a file says nothing about its content after
// a checkout or a rollback; the time of the start of the only release it serves does.
func (h *Handler) write(w http.ResponseWriter, r *http.Request, body *os.File, status int) {
	if status != http.StatusOK {
		r = r.Clone(r.Context())
		for _, name := range []string{"Range", "If-Range", "If-None-Match", "If-Match", "If-Modified-Since", "If-Unmodified-Since"} {
			r.Header.Del(name)
		}
		w = &withStatus{w, status}
	}
	http.ServeContent(w, r, "", h.started, body)
}

// withStatus answers with its own status where net/http would say 200.
type withStatus struct {
	http.ResponseWriter
	status int
}

func (w *withStatus) WriteHeader(int) { w.ResponseWriter.WriteHeader(w.status) }

// open opens a regular file. A pipe is not waited for.
func (h *Handler) open(name string) (*os.File, error) {
	file, err := h.root.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && !info.Mode().IsRegular() {
		err = fs.ErrNotExist
	}
	if err != nil {
		return nil, errors.Join(err, file.Close())
	}
	return file, nil
}

package gitreceive

import (
	"bytes"
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/url"
	"strings"
	"time"

	"github.com/go-git/go-git/v5/plumbing"
	"github.com/go-git/go-git/v5/plumbing/protocol/packp/capability"

	"paas/gitreceive/pack"
	"paas/platform"
)

// web is a server that speaks over HTTP.
type web struct {
	base   url.URL
	login  platform.GitHost
	client *http.Client
	able   *capability.List
}

func newWeb(u *url.URL, login platform.GitHost, d *net.Dialer) *web {
	w := &web{base: *u, login: login}
	if u.User != nil {
		w.login.User = u.User.Username()
		w.login.Password, _ = u.User.Password()
		w.base.User = nil
	}
	w.base.Path = strings.TrimSuffix(w.base.Path, "/")
	w.client = &http.Client{
		Transport: &http.Transport{DialContext: d.DialContext, TLSHandshakeTimeout: dialTimeout, ResponseHeaderTimeout: time.Minute, DisableKeepAlives: true},
		CheckRedirect: func(req *http.Request, via []*http.Request) error {
			if len(via) > 5 || via[0].URL.Scheme == "https" && req.URL.Scheme != "https" {
				return platform.Errorf(platform.Failed, "%s leads too far away", via[0].URL.Host)
			}
			return nil // the login goes no further than to the same host: net/http drops it
		},
	}
	return w
}

// Close implements remote.
func (w *web) Close() error { return nil }

func (w *web) refs(ctx context.Context) (map[plumbing.ReferenceName]pack.ID, plumbing.ReferenceName, error) {
	res, err := w.ask(ctx, http.MethodGet, "/info/refs?service=git-upload-pack", nil)
	if err != nil {
		return nil, "", err
	}
	defer func() { _ = res.Body.Close() }()
	if kind := res.Header.Get("Content-Type"); kind != "application/x-git-upload-pack-advertisement" {
		return nil, "", platform.Errorf(platform.Failed, "%s is not a git repository, or one of a kind that is too old", w.base.String())
	}
	if end, ok := strings.CutSuffix(res.Request.URL.Path, "/info/refs"); ok { // where a redirect led
		w.base.Scheme, w.base.Host, w.base.Path = res.Request.URL.Scheme, res.Request.URL.Host, end
	}
	found, head, able, err := readAdvert(res.Body)
	w.able = able
	return found, head, err
}

func (w *web) fetch(ctx context.Context, wants, have []pack.ID) (io.ReadCloser, error) {
	res, err := w.ask(ctx, http.MethodPost, "/git-upload-pack", wish(wants, have, w.able))
	if err != nil {
		return nil, err
	}
	if err := readAnswer(res.Body); err != nil {
		return nil, errors.Join(err, res.Body.Close())
	}
	return res.Body, nil
}

func (w *web) ask(ctx context.Context, method, path string, send []byte) (*http.Response, error) {
	req, err := http.NewRequestWithContext(ctx, method, w.base.String()+path, bytes.NewReader(send))
	if err != nil {
		return nil, err
	}
	req.Header.Set("User-Agent", "git/"+agent) // some servers answer only what looks like git
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-git-upload-pack-request")
	}
	if w.login.User != "" {
		req.SetBasicAuth(w.login.User, w.login.Password)
	}
	res, err := w.client.Do(req)
	if err != nil {
		return nil, w.unreached(err)
	}
	if res.StatusCode == http.StatusOK {
		return res, nil
	}
	_ = res.Body.Close() // the answer is no
	switch res.StatusCode {
	case http.StatusUnauthorized, http.StatusForbidden:
		return nil, platform.Errorf(platform.Denied, "%s does not let us at that repository", w.base.Host).
			WithHint("log in first: ssh paas git:auth %s USER < password", w.base.Host)
	case http.StatusNotFound:
		return nil, platform.Errorf(platform.NotFound, "%s has no such repository, or does not show it to everybody", w.base.Host)
	}
	return nil, platform.Errorf(platform.Failed, "%s answers %s", w.base.Host, res.Status)
}

func (w *web) unreached(err error) error {
	var human *platform.Error
	if errors.As(err, &human) {
		return human
	}
	return platform.Errorf(platform.Failed, "%s cannot be reached", w.base.Host).Because(err)
}

package drain

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"paas/platform"
)

const (
	lokiPath   = "/loki/api/v1/push" // grafana.com/docs/loki/latest/reference/loki-http-api
	idleTime   = 90 * time.Second
	mostAnswer = 4 << 10 // bytes of an answer that are read
	mostReason = 200     // and told
)

// poster sends lines over HTTP.
type poster struct {
	client *http.Client
	url    string
	user   *url.Userinfo
	header http.Header
	encode func(app platform.AppName, list []platform.LogEntry) ([]byte, error)
}

func newPoster(spec platform.LogDrain, u *url.URL, secure *tls.Config) *poster {
	p := &poster{header: http.Header{"User-Agent": {"paas"}, "Content-Type": {"application/x-ndjson"}}, encode: jsonLines, user: u.User}
	target := *u
	target.User = nil
	target.Scheme = strings.TrimPrefix(target.Scheme, "loki+")
	if target.Scheme == "loki" {
		target.Scheme = "https"
	}
	if platform.DrainKind(spec.URL) == "loki" {
		p.encode = lokiPush
		p.header.Set("Content-Type", "application/json")
		if target.Path == "" || target.Path == "/" {
			target.Path = lokiPath
		}
	}
	for _, h := range spec.Headers {
		name, value, _ := strings.Cut(h, ": ")
		p.header.Add(name, value)
	}
	p.url = target.String()
	p.client = &http.Client{
		Transport: &http.Transport{
			DialContext: newDialer(spec).DialContext, TLSClientConfig: secure, ForceAttemptHTTP2: true, TLSHandshakeTimeout: dialTimeout,
			MaxIdleConns: 1, IdleConnTimeout: idleTime, MaxResponseHeaderBytes: 64 << 10,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }, // nobody said it may go there
	}
	return p
}

func (p *poster) close() { p.client.CloseIdleConnections() }

func (p *poster) send(ctx context.Context, app platform.AppName, list []platform.LogEntry) error {
	body, err := p.encode(app, list)
	if err != nil {
		return err
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, p.url, bytes.NewReader(body))
	if err != nil {
		return err
	}
	req.Header = p.header.Clone()
	if p.user != nil {
		password, _ := p.user.Password()
		req.SetBasicAuth(p.user.Username(), password)
	}
	res, err := p.client.Do(req)
	if err != nil {
		return err
	}
	defer func() { _ = res.Body.Close() }()
	text, _ := io.ReadAll(io.LimitReader(res.Body, mostAnswer)) // for people; a cut one will do
	if res.StatusCode/100 == 2 {
		return nil
	}
	return answerError(res.StatusCode, string(text))
}

// answerError tells a receiver that does not want these lines from one that is in trouble, or wants another password.
func answerError(status int, text string) error {
	text = strings.ToValidUTF8(strings.Join(strings.Fields(text), " "), "")
	err := fmt.Errorf("it answers %d: %.*s", status, mostReason, strconv.QuoteToGraphic(text))
	switch status {
	case http.StatusBadRequest, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return fmt.Errorf("%w (%w)", err, errRefused)
	}
	return err
}

// jsonLines is what `logs --json` prints, with the app's name.
func jsonLines(app platform.AppName, list []platform.LogEntry) ([]byte, error) {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	for _, l := range list {
		line := struct {
			App platform.AppName `json:"app"`
			platform.LogView
		}{app, platform.ViewLog(l)}
		if err := e.Encode(line); err != nil {
			return nil, err
		}
	}
	return b.Bytes(), nil
}

// lokiStream is the lines of one set of labels.
type lokiStream struct {
	Stream map[string]string `json:"stream"`
	Values [][2]string       `json:"values"`
}

// lokiPush makes the body of a push. Loki takes two lines of one stream with equal times and texts for one, so the nanoseconds
// that our times have not are the line's number.
func lokiPush(app platform.AppName, list []platform.LogEntry) ([]byte, error) {
	var streams []*lokiStream
	known := map[[4]string]*lokiStream{}
	for _, e := range list {
		v := platform.ViewLog(e)
		key := [4]string{string(v.Source), v.Process, v.Level, v.Stream}
		s := known[key]
		if s == nil {
			s = &lokiStream{Stream: map[string]string{"job": "paas", "app": string(app), "source": key[0], "level": key[2]}}
			for name, value := range map[string]string{"process": key[1], "stream": key[3]} {
				if value != "" {
					s.Stream[name] = value
				}
			}
			known[key] = s
			streams = append(streams, s)
		}
		at := e.At.UnixMicro()*1000 + int64(e.Number%1000)
		s.Values = append(s.Values, [2]string{strconv.FormatInt(at, 10), v.Text})
	}
	return json.Marshal(map[string]any{"streams": streams})
}

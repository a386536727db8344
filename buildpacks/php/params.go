package php

import (
	"errors"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// params are the CGI variables of a request (RFC 3875, 4.1, and those that PHP adds to them).
func (f *front) params(r *http.Request, t target, length int64) map[string]string {
	script := "/" + t.script
	host, port := hostPort(r)
	client, clientPort, _ := net.SplitHostPort(r.RemoteAddr)
	p := map[string]string{
		"GATEWAY_INTERFACE": "CGI/1.1", "SERVER_SOFTWARE": "paas", "REDIRECT_STATUS": "200",
		"SERVER_PROTOCOL": r.Proto, "REQUEST_METHOD": r.Method, "REQUEST_URI": r.URL.RequestURI(), "QUERY_STRING": r.URL.RawQuery,
		"DOCUMENT_ROOT": filepath.Join(f.app, f.root), "SCRIPT_FILENAME": filepath.Join(f.app, f.root, t.script),
		"SCRIPT_NAME": script, "DOCUMENT_URI": script + t.info, "PATH_INFO": t.info,
		"SERVER_NAME": host, "SERVER_PORT": port, "REMOTE_ADDR": client, "REMOTE_PORT": clientPort, "HTTP_HOST": r.Host,
		"CONTENT_TYPE": r.Header.Get("Content-Type"), "CONTENT_LENGTH": strconv.FormatInt(length, 10),
	}
	if strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
		p["HTTPS"], p["REQUEST_SCHEME"] = "on", "https"
	}
	for name, values := range r.Header {
		if variable, ok := headerVariable(name); ok {
			p[variable] = strings.Join(values, separator(name))
		}
	}
	return p
}

// hostPort is where the client thinks it is: the router says so, as it ends TLS.
func hostPort(r *http.Request) (host, port string) {
	host, port, err := net.SplitHostPort(r.Host)
	if err != nil {
		host, port = r.Host, "80"
		if strings.EqualFold(r.Header.Get("X-Forwarded-Proto"), "https") {
			port = "443"
		}
	}
	if said := r.Header.Get("X-Forwarded-Port"); said != "" {
		port = said
	}
	return host, port
}

// headerVariable is the variable of a header. PHP would take "Proxy" for its own HTTP_PROXY, and a name with an
// underscore for one with a dash.
func headerVariable(name string) (string, bool) {
	switch name {
	case "Proxy", "Content-Type", "Content-Length", "Host":
		return "", false
	}
	if strings.Contains(name, "_") {
		return "", false
	}
	return "HTTP_" + strings.ToUpper(strings.ReplaceAll(name, "-", "_")), true
}

func separator(header string) string {
	if header == "Cookie" {
		return "; "
	}
	return ", "
}

// maxUnsized is how much of a body is taken whose length the client does not tell.
const maxUnsized = 256 << 20

// sized is the request's body and its length, which PHP must know ahead. One of unknown length is written to a
// file without a name first.
func sized(w http.ResponseWriter, r *http.Request) (io.ReadCloser, int64, error) {
	if r.ContentLength >= 0 {
		return r.Body, r.ContentLength, nil
	}
	file, err := os.CreateTemp("", "paas-php-body-")
	if err != nil {
		return nil, 0, err
	}
	err = os.Remove(file.Name())
	length, copied := io.Copy(file, http.MaxBytesReader(w, r.Body, maxUnsized))
	_, rewound := file.Seek(0, io.SeekStart)
	if err = errors.Join(err, copied, rewound); err != nil {
		return nil, 0, errors.Join(err, file.Close())
	}
	return file, length, nil
}

package static

import (
	"errors"
	"io"
	"net/http"
	"os"
	"path"
	"regexp"
	"strings"
)

// types are those of IANA's registry and of the WHATWG MIME Sniffing standard. Never written to.
var types = map[string]string{
	".html": "text/html; charset=utf-8", ".htm": "text/html; charset=utf-8", ".xhtml": "application/xhtml+xml",
	".css": "text/css; charset=utf-8", ".js": "text/javascript; charset=utf-8", ".mjs": "text/javascript; charset=utf-8",
	".json": "application/json", ".map": "application/json", ".jsonld": "application/ld+json", ".geojson": "application/geo+json",
	".webmanifest": "application/manifest+json", ".xml": "application/xml", ".rss": "application/rss+xml", ".atom": "application/atom+xml",
	".txt": "text/plain; charset=utf-8", ".md": "text/markdown; charset=utf-8", ".csv": "text/csv; charset=utf-8",
	".ics": "text/calendar; charset=utf-8", ".vtt": "text/vtt; charset=utf-8", ".yaml": "application/yaml", ".yml": "application/yaml",
	".svg": "image/svg+xml", ".png": "image/png", ".jpg": "image/jpeg", ".jpeg": "image/jpeg", ".gif": "image/gif",
	".webp": "image/webp", ".avif": "image/avif", ".ico": "image/x-icon", ".bmp": "image/bmp", ".jxl": "image/jxl", ".tif": "image/tiff", ".tiff": "image/tiff",
	".woff": "font/woff", ".woff2": "font/woff2", ".ttf": "font/ttf", ".otf": "font/otf", ".eot": "application/vnd.ms-fontobject",
	".mp3": "audio/mpeg", ".m4a": "audio/mp4", ".ogg": "audio/ogg", ".opus": "audio/ogg", ".oga": "audio/ogg", ".wav": "audio/wav", ".flac": "audio/flac",
	".mp4": "video/mp4", ".m4v": "video/mp4", ".webm": "video/webm", ".ogv": "video/ogg", ".mov": "video/quicktime",
	".m3u8": "application/vnd.apple.mpegurl", ".ts": "video/mp2t",
	".wasm": "application/wasm", ".pdf": "application/pdf", ".zip": "application/zip", ".gz": "application/gzip", ".tar": "application/x-tar",
	".7z": "application/x-7z-compressed", ".br": "application/octet-stream", ".bin": "application/octet-stream", ".epub": "application/epub+zip",
	".glb": "model/gltf-binary", ".gltf": "model/gltf+json",
}

// contentType is the type that a file's name tells. It does not depend on what the machine has installed.
func contentType(name string) (kind string, known bool) {
	kind, known = types[strings.ToLower(path.Ext(name))]
	return kind, known
}

// kind is a file's content type, guessed from its first bytes when the name does not tell.
func (h *Handler) kind(file *os.File, name string) (string, error) {
	if kind, known := contentType(name); known {
		return kind, nil
	}
	head := make([]byte, 512)
	n, err := io.ReadFull(file, head)
	if err != nil && !errors.Is(err, io.EOF) && !errors.Is(err, io.ErrUnexpectedEOF) {
		return "", err
	}
	_, err = file.Seek(0, io.SeekStart)
	return http.DetectContentType(head[:n]), err
}

var (
	hexName  = regexp.MustCompile(`[.-]([0-9a-f]{8,64})\.(css|js|mjs|map|woff2?|ttf|otf|png|jpe?g|gif|svg|webp|avif|ico|wasm|mp4|webm)$`)
	viteName = regexp.MustCompile(`(^|/)assets/[^/]+-([A-Za-z0-9_-]{8})\.[a-z0-9]+$`)
)

// cacheControl lets browsers keep for good what is named after its content, and makes them ask for
// everything else, so that a new release is seen at once.
func cacheControl(name string, status int) string {
	if status == http.StatusOK && namedByContent(name) {
		return "public, max-age=31536000, immutable"
	}
	return "no-cache"
}

// namedByContent knows the names that bundlers make: hexadecimal digits, or Vite's eight of 64 characters.
// A hash has both digits and letters; a word or a date has not.
func namedByContent(name string) bool {
	if m := hexName.FindStringSubmatch(name); m != nil {
		return mixed(m[1], "abcdef")
	}
	m := viteName.FindStringSubmatch(name)
	return m != nil && mixed(m[2], "ABCDEFGHIJKLMNOPQRSTUVWXYZ")
}

func mixed(text, letters string) bool {
	return strings.ContainsAny(text, "0123456789") && strings.ContainsAny(text, letters)
}

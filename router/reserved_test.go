package router_test

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"paas/platform"
	"paas/router"
	"paas/router/std"
)

// A reserved hostname is the platform's, whatever a route says.
func TestReservedHosts(t *testing.T) {
	own := http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = io.WriteString(w, "own") })
	r := router.New(router.Options{Reserved: map[string]http.Handler{"registry.example.com": own}})
	r.Swap(platform.Route{App: "thief", Hosts: []string{"registry.example.com", "thief.example.com"}})
	for host, want := range map[string]int{
		"registry.example.com": http.StatusOK, "REGISTRY.example.com.:8080": http.StatusOK,
		"thief.example.com": http.StatusServiceUnavailable, "x.registry.example.com": http.StatusNotFound,
	} {
		req := httptest.NewRequest(http.MethodGet, "/v2/", nil)
		req.Host = host
		w := httptest.NewRecorder()
		std.Handler(r.Handler(), std.Limits{}).ServeHTTP(w, req)
		if w.Code != want {
			t.Errorf("%s: status %d, want %d", host, w.Code, want)
		}
	}
}

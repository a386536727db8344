package exchange

import (
	"context"
	"errors"
	"io"
	"net/http"

	"paas/platform"
)

// Download implements platform.Distribution.
func (x *Exchange) Download(ctx context.Context, address string, t platform.Transfer) (io.ReadCloser, error) {
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, platform.Errorf(platform.Usage, "%q is not an address", address).Because(err)
	}
	req.Header.Set("User-Agent", "paas")
	transport := direct(t.Private)
	transport.DisableKeepAlives = true // one transfer, and nothing stays open
	res, err := (&http.Client{Transport: transport}).Do(req)
	var human *platform.Error
	if errors.As(err, &human) {
		return nil, human
	}
	if err != nil {
		return nil, platform.Errorf(platform.Failed, "%s cannot be reached", req.URL.Host).Because(err)
	}
	if res.StatusCode != http.StatusOK {
		_ = res.Body.Close() // the answer is no
		return nil, platform.Errorf(platform.Failed, "%s answers %s", req.URL.Host, res.Status)
	}
	return res.Body, nil
}

package edge

import (
	"fmt"
	"strconv"

	"paas/platform"
	"paas/router/wire"
)

// CanaryCookie keeps a client at the release it was given: "13.0421" is its place among ten thousand for the
// canary v13, so that a larger share takes more clients and lets go of none. "on" and "off" choose by hand.
const CanaryCookie = "paas-canary"

const (
	canaryPlaces = 10_000
	canaryAge    = 7 * 24 * 3600 // seconds
)

type canary struct {
	platform.CanaryShare
	random func() float64 // in [0,1)
}

// choose sends a client to the second release, or not, and always there.
func (c *canary) choose(req *wire.Request, v *Verdict) {
	if c.Release == 0 {
		return
	}
	place, known := c.placeOf(req)
	if !known {
		place = int(c.random() * canaryPlaces)
		v.Cookie = c.cookie(req, place)
	}
	if float64(place) < c.Percent*canaryPlaces/100 {
		v.Pool = platform.CanaryPool
	}
}

func (c *canary) cookie(req *wire.Request, place int) []byte {
	b := fmt.Appendf(nil, "%s=%d.%04d; Path=/; Max-Age=%d; HttpOnly; SameSite=Lax", CanaryCookie, c.Release, place, canaryAge)
	if req.TLS != nil {
		b = append(b, "; Secure"...)
	}
	return b
}

func (c *canary) placeOf(req *wire.Request) (place int, ok bool) {
	for i := range req.Fields {
		if !is(req.Fields[i].Name, "cookie") {
			continue
		}
		for rest, more := req.Fields[i].Value, true; more; {
			var pair []byte
			pair, rest, more = cut(rest, ';')
			name, value, _ := cut(trim(pair), '=')
			if string(name) != CanaryCookie {
				continue
			}
			if place, ok = c.parse(value); ok {
				return place, true
			}
		}
	}
	return 0, false
}

func (c *canary) parse(value []byte) (place int, ok bool) {
	switch string(value) {
	case "on":
		return -1, true
	case "off":
		return canaryPlaces, true
	}
	release, number, _ := cut(value, '.')
	if n, err := strconv.Atoi(string(release)); err != nil || n != c.Release {
		return 0, false
	}
	place, err := strconv.Atoi(string(number))
	return place, err == nil && place >= 0 && place < canaryPlaces
}

package platform

import "testing"

func TestParseEgress(t *testing.T) {
	for in, want := range map[string]string{
		"203.0.113.0/24": "203.0.113.0/24", "203.0.113.9/24:443": "203.0.113.0/24:443", "203.0.113.9": "203.0.113.9",
		"203.0.113.9:53": "203.0.113.9:53", "2001:db8::/32": "2001:db8::/32", "[2001:db8::/32]:443": "[2001:db8::/32]:443",
		"[2001:db8::1]": "2001:db8::1", "API.Example.com:443": "api.example.com:443", "*.example.com": "*.example.com",
		"::ffff:192.0.2.1": "192.0.2.1", "0.0.0.0/0": "0.0.0.0/0",
		"": "", ":443": "", "example": "", "1.2.3": "", "300.1.1.1": "", "203.0.113.0/33": "", "a.example.com:0": "",
		"a.example.com:65536": "", "[2001:db8::1": "", "[2001:db8::1]443": "", "fe80::1%eth0": "", "*": "", "a.*.com": "", "http://a.com": "",
		"[]:443": "", "[a.example.com]:x": "",
	} {
		e, err := ParseEgress(in)
		if (err == nil) != (want != "") || err == nil && e.String() != want {
			t.Errorf("%q: %s, %v; want %q", in, e, err, want)
		}
		if err != nil && KindOf(err) != Usage {
			t.Errorf("%q: %v", in, err)
		}
		if err == nil {
			again, err := ParseEgress(e.String())
			if err != nil || again != e {
				t.Errorf("%q became %q, which is read as %v (%v)", in, e, again, err)
			}
		}
	}
}

func FuzzParseEgress(f *testing.F) {
	f.Add("203.0.113.0/24:443")
	f.Add("[2001:db8::/32]:443")
	f.Add("*.example.com")
	f.Fuzz(func(t *testing.T, s string) {
		e, err := ParseEgress(s)
		if err != nil {
			return
		}
		if again, err := ParseEgress(e.String()); err != nil || again != e {
			t.Errorf("%q became %q, which is read as %v (%v)", s, e, again, err)
		}
	})
}

package buildpacks

import "testing"

func TestWhoWasNotReachedIsNamed(t *testing.T) {
	for line, want := range map[string]string{
		`Could not transfer artifact a.b:c:pom:3.2.0 from/to central (https://repo.example.org/maven2): transfer failed`:                           "repo.example.org",
		`   > Could not GET 'https://plugins.example.org/m2/x.pom'.`:                                                                               "plugins.example.org",
		`  curl error 6 while downloading https://php.example.org/packages.json: Co`:                                                               "php.example.org",
		`** (Mix) httpc request failed with: {:failed_connect, [{:to_address, {~c"hex.example.org", 443}}, {:inet6, [:inet6], :nxdomain}]}`:        "hex.example.org",
		`NewConnectionError('<pip._vendor.urllib3.connection.HTTPSConnection object at 0x1>: Failed to establish a new connection: [Errno -2] N')`: "the index of Python packages",
		`curl error 22 while downloading https://php.example.org/x: The requested URL returned error: 404`:                                         "",
		`a test failed`: "",
	} {
		if got, ok := unreachable([]string{"before", line, "after"}); got != want || ok != (want != "") {
			t.Errorf("%s: %q", line, got)
		}
	}
}

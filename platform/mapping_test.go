package platform

import "testing"

func TestParseMapping(t *testing.T) {
	for word, want := range map[string]string{
		"tcp:5432:5433": "tcp:5432:5433", "udp:53": "udp:53:53", "http:8080:5000": "http:8080:5000", "https:1:65535": "https:1:65535",
		"": "", "tcp": "", "tcp:": "", "tcp:0:1": "", "tcp:1:65536": "", "tcp:-1:1": "", "tcp:+1:1": "", "TCP:1:1": "", "sctp:1:1": "",
		"tcp:1:1:1": "", "tcp:1:x": "", "5432:5432": "",
	} {
		m, err := parseMapping(word)
		if err == nil && m.String() != want || err != nil && want != "" {
			t.Errorf("%q: %s, %v", word, m, err)
		}
		if err != nil && KindOf(err) != Usage {
			t.Errorf("%q: %v is no usage error", word, err)
		}
	}
}

// What a flag cannot mean for a scheme is refused.
func TestMappingFlags(t *testing.T) {
	for _, in := range []PortInput{
		{Maps: []string{"udp:1:1"}, Proxy: "v1"}, {Maps: []string{"tcp:1:1"}, Proxy: "v3"}, {Maps: []string{"tcp:1:1"}, Connections: 10_001},
		{Maps: []string{"tcp:1:1"}, Connections: -1}, {Maps: []string{"tcp:1:1"}, Idle: "1"}, {Maps: []string{"tcp:1:1"}, Idle: "10ms"},
		{Maps: []string{"http:1:1"}, Type: "worker"}, {Maps: []string{"http:1:1"}, Proxy: "v2"}, {Maps: []string{"tcp:1:1", "https:1:2"}},
	} {
		if list, err := in.mappings(); KindOf(err) != Usage {
			t.Errorf("%+v: %v, %v", in, list, err)
		}
	}
	list, err := PortInput{Maps: []string{"tcp:1:1", "udp:1:1"}, Idle: "30s"}.mappings()
	if err != nil || len(list) != 2 || list[0].Type != Web || list[1].Patience().Seconds() != 30 {
		t.Error(list, err)
	}
}

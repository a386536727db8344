package buildpacks

import (
	"crypto/sha512"
	"encoding/hex"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"paas/buildpacks/plan"
	"paas/platform"
)

// What a language's own people publish goes before Debian's package of the same version, and what is cached before
// both.
func TestOfficialBeforeDebian(t *testing.T) {
	m := newMirror(t)
	name := "cpython-3.13.9+20251014-x86_64-unknown-linux-gnu-install_only.tar.gz"
	sum := m.put("/py/download/20251014/"+name, toolchainTar(t, "python/bin/python3.13"))
	m.put("/py/latest/download/SHA256SUMS", []byte(sum+"  "+name+"\n"))
	e := bareEngine(t, map[string]string{"UV_PYTHON_INSTALL_MIRROR": m.URL + "/py/download"})
	story := platform.NewStory(t.Output(), nil)
	for _, wish := range []string{"", "3.13", "3.13.9"} {
		made, err := e.toolchain(t.Context(), "", plan.Toolchain{Name: "python", Version: wish}, story)
		if err != nil || made.version != "3.13.9" || made.path != "/opt/python/bin" {
			t.Errorf("Python %q is %+v, %v", wish, made, err)
		}
	}
	cached, err := e.Images.Draft()
	check(t, err)
	check(t, cached.Commit(packagesKey("base", debianToolchains["python"].packages)))
	if made, err := e.toolchain(t.Context(), "base", plan.Toolchain{Name: "python", Version: "3.13"}, story); err != nil || made.version != "3.13" {
		t.Errorf("with Debian's in the cache it is %+v, %v", made, err)
	}
}

// .NET's SDK is published with SHA-512 sums; without its site there is one clear sentence.
func TestOfficialDotNet(t *testing.T) {
	m := newMirror(t)
	sdk := toolchainTar(t, "./dotnet", "./sdk/9.0.101/dotnet.dll")
	m.put("/dotnet/Sdk/9.0.101/dotnet-sdk-9.0.101-linux-x64.tar.gz", sdk)
	sum := sha512.Sum512(sdk)
	m.put("/dotnet"+dotnetIndex, []byte(`{"releases-index":[{"channel-version":"10.0","latest-sdk":"10.0.100-rc.1","support-phase":"preview"},{"channel-version":"9.0","latest-sdk":"9.0.101","support-phase":"active"}]}`))
	m.put("/dotnet/release-metadata/9.0/releases.json", fmt.Appendf(nil, `{"releases":[{"sdks":[{"version":"9.0.101","files":[
		{"rid":"linux-arm64","name":"dotnet-sdk-linux-arm64.tar.gz","url":"https://example.org/dotnet/x"},
		{"rid":"linux-x64","name":"dotnet-sdk-linux-x64.tar.gz","url":"https://example.org/dotnet/Sdk/9.0.101/dotnet-sdk-9.0.101-linux-x64.tar.gz","hash":%q}]}]}]}`,
		strings.ToUpper(hex.EncodeToString(sum[:]))))
	e := bareEngine(t, map[string]string{"DOTNET_MIRROR": m.URL + "/dotnet"})
	story := platform.NewStory(t.Output(), nil)
	for _, wish := range []string{"", "9.0"} {
		made, err := e.toolchain(t.Context(), "", plan.Toolchain{Name: "dotnet", Version: wish, From: "global.json"}, story)
		if err != nil || made.version != "9.0.101" || made.path != "/opt/dotnet" || made.env["DOTNET_ROOT"] != made.path {
			t.Fatalf(".NET %q is %+v, %v", wish, made, err)
		}
		if _, err := os.Stat(filepath.Join(e.Images.Dir(made.layer), made.path, "dotnet")); err != nil {
			t.Error(err)
		}
	}
	_, err := e.toolchain(t.Context(), "", plan.Toolchain{Name: "dotnet", Version: "8.0", From: "global.json"}, story)
	if err == nil || err.Error() != "global.json asks for .NET 8.0, which cannot be had; the nearest that can is 9.0.101" {
		t.Errorf("another line: %v", err)
	}
	off := bareEngine(t, map[string]string{"DOTNET_MIRROR": "http://127.0.0.1:9/dotnet"})
	_, err = off.toolchain(t.Context(), "", plan.Toolchain{Name: "dotnet", Version: "9.0", From: "global.json"}, story)
	if err == nil || !strings.HasPrefix(err.Error(), "global.json asks for .NET 9.0, which cannot be had") {
		t.Errorf("without its site: %v", err)
	}
}

// A Java runtime that Debian has not got comes with the programs that start an app with it.
func TestOfficialJavaRuntime(t *testing.T) {
	m := newMirror(t)
	sum := m.put("/jdk.tar.gz", toolchainTar(t, "jdk-17.0.13+11/bin/java"))
	m.put("/v3/info/available_releases", []byte(`{"available_releases":[17,21],"most_recent_lts":21}`))
	m.put("/v3/assets/latest/17/hotspot", fmt.Appendf(nil, `[{"binary":{"package":{"link":%q,"checksum":%q}},"version":{"semver":"17.0.13+11"}}]`, m.URL+"/jdk.tar.gz", sum))
	e := bareEngine(t, map[string]string{"ADOPTIUM_API_MIRROR": m.URL})
	for range 2 {
		made, err := e.toolchain(t.Context(), "", plan.Toolchain{Name: "jre", Version: "17"}, platform.NewStory(t.Output(), nil))
		if err != nil || made.version != "17.0.13+11" || made.env["JAVA_HOME"] != "/opt/java" || len(made.under) != 1 {
			t.Fatalf("%+v, %v", made, err)
		}
		for program := range debianToolchains["jre"].files {
			if _, err := os.Stat(filepath.Join(e.Images.Dir(made.under[0]), program)); err != nil {
				t.Error(err)
			}
		}
	}
}

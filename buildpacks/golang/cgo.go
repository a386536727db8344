package golang

import (
	"errors"
	"io/fs"
	"slices"
	"strings"

	"paas/buildpacks/source"
)

const maxSums = 32 << 20

// needsCgo tells whether something is known to call C: the app's own packages by their imports, other
// modules by their names. A pure Go build is faster and needs no compiler, so it is the default.
func needsCgo(src *source.Tree, packages []packageDir) (bool, error) {
	if slices.ContainsFunc(packages, func(p packageDir) bool { return p.cgo }) {
		return true, nil
	}
	for _, name := range []string{"go.sum", "go.work.sum", vendorList} {
		text, err := src.Read(name, maxSums)
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil || namesCgo(string(text)) {
			return err == nil, err
		}
	}
	return false, nil
}

// namesCgo reads the lines of a go.sum ("module version hash") or a modules.txt ("# module version"). A
// go.sum line for a go.mod alone does not mean that the module is built.
func namesCgo(text string) bool {
	for line := range strings.Lines(text) {
		words := strings.Fields(strings.TrimPrefix(line, "# "))
		if len(words) >= 2 && !strings.HasSuffix(words[1], "/go.mod") && callsC(words[0]) {
			return true
		}
	}
	return false
}

// callsC knows modules that do nothing useful without cgo.
func callsC(module string) bool {
	switch strings.TrimSuffix(module, "/v2") {
	case "github.com/mattn/go-sqlite3", "github.com/mutecomm/go-sqlcipher", "github.com/mutecomm/go-sqlcipher/v4",
		"github.com/confluentinc/confluent-kafka-go", "github.com/marcboeker/go-duckdb", "github.com/duckdb/duckdb-go",
		"github.com/godror/godror", "github.com/mattn/go-oci8", "github.com/DataDog/zstd", "github.com/valyala/gozstd",
		"github.com/linxGnu/grocksdb", "github.com/tecbot/gorocksdb", "github.com/h2non/bimg", "github.com/davidbyttow/govips",
		"github.com/chai2010/webp", "github.com/libgit2/git2go/v34", "github.com/google/gopacket", "github.com/tursodatabase/go-libsql",
		"github.com/asg017/sqlite-vec-go-bindings", "github.com/rogchap/v8go", "rogchap.com/v8go", "github.com/sugarme/gotch",
		"gopkg.in/gographics/imagick.v3", "github.com/hybridgroup/gocv", "gocv.io/x/gocv", "github.com/pebbe/zmq4":
		return true
	}
	return false
}

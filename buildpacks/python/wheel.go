package python

import (
	"path"
	"strconv"
	"strings"
)

// wheelFits tells whether pip would take a wheel of this name here (packaging.python.org, "Binary distribution
// format" and "Platform compatibility tags").
func (p place) wheelFits(file string) bool {
	name, ok := strings.CutSuffix(path.Base(file), ".whl")
	parts := strings.Split(name, "-")
	if !ok || len(parts) < 5 {
		return false
	}
	tags := parts[len(parts)-3:]
	return anyTag(tags[2], platformTag) && anyTag(tags[0], p.pythonTag) && anyTag(tags[1], p.abiTag)
}

func anyTag(tags string, fits func(string) bool) bool {
	for tag := range strings.SplitSeq(tags, ".") {
		if fits(tag) {
			return true
		}
	}
	return false
}

func platformTag(tag string) bool {
	return tag == "any" || tag == "linux_x86_64" || strings.HasPrefix(tag, "manylinux") && strings.HasSuffix(tag, "_x86_64")
}

// pythonTag also takes what was built for an older version: the ABI's tag says whether it may be.
func (p place) pythonTag(tag string) bool {
	digits, found := strings.CutPrefix(tag, "py3")
	if !found {
		if digits, found = strings.CutPrefix(tag, "cp3"); !found {
			return false
		}
	}
	minor, err := strconv.Atoi(digits)
	return digits == "" || err == nil && minor <= p.minor()
}

func (p place) abiTag(tag string) bool {
	return tag == "none" || tag == "abi3" || tag == "cp3"+strconv.Itoa(p.minor())
}

func (p place) minor() int {
	list := numbers(p.version)
	if len(list) < 2 {
		return 0
	}
	return list[1]
}

// isSource tells whether a file is one that pip builds a package from.
func isSource(file string) bool {
	for _, end := range []string{".tar.gz", ".zip", ".tar.bz2", ".tgz", ".tar.xz"} {
		if strings.HasSuffix(file, end) {
			return true
		}
	}
	return false
}

package wire

import (
	"bytes"

	"github.com/moby/patternmatcher"
	"github.com/moby/patternmatcher/ignorefile"

	"paas/platform"
)

// Without drops the files that a .dockerignore names. One that makes no sense is an error of kind Failed.
func Without(files []platform.File, ignore []byte) ([]platform.File, error) {
	patterns, err := ignorefile.ReadAll(bytes.NewReader(ignore))
	if err != nil || len(patterns) == 0 {
		return files, badIgnore(err)
	}
	m, err := patternmatcher.New(patterns)
	if err != nil {
		return nil, badIgnore(err)
	}
	var left []platform.File
	for _, f := range files {
		ignored, err := m.MatchesOrParentMatches(f.Path)
		if err != nil {
			return nil, badIgnore(err)
		}
		if !ignored {
			left = append(left, f)
		}
	}
	return left, nil
}

func badIgnore(err error) error {
	if err == nil {
		return nil
	}
	return platform.Errorf(platform.Failed, ".dockerignore cannot be read: %v", err)
}

package plan

import "strings"

// Sees tells whether the step sees the source path.
func (s Step) Sees(path string) bool {
	return names(s.Files, path) && !names(s.Except, path)
}

// Keeps tells whether the image needs the path, relative to /app, of what the commands wrote.
func (s Step) Keeps(path string) bool {
	return len(s.Output) == 0 || names(s.Output, path)
}

func names(patterns []string, path string) bool {
	for _, p := range patterns {
		if name(p, path) {
			return true
		}
	}
	return false
}

func name(pattern, path string) bool {
	switch {
	case pattern == "/":
		return true
	case strings.HasSuffix(pattern, "/"):
		return strings.HasPrefix(path, pattern)
	case strings.HasPrefix(pattern, "*."):
		return strings.HasSuffix(path, pattern[1:])
	default:
		return path == pattern
	}
}

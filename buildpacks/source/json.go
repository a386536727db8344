package source

import (
	"bytes"
	"encoding/json"
	"errors"

	"paas/platform"
)

// Decode reads text, the content of the JSON file called name, into value, which must be made from an
// object. Every error is a *platform.Error; one of syntax names the line.
func Decode(name string, text []byte, value any) error {
	err := json.Unmarshal(text, value)
	if err == nil {
		return nil
	}
	var syntax *json.SyntaxError
	if !errors.As(err, &syntax) {
		return platform.Errorf(platform.Failed, "%s is not a JSON object of the expected form", name).Because(err).
			WithHint("it starts with { and ends with }")
	}
	line := 1 + bytes.Count(text[:min(int(syntax.Offset), len(text))], []byte("\n"))
	return platform.Errorf(platform.Failed, "%s line %d is not JSON: %s", name, line, syntax.Error()).
		WithHint("look for a missing or surplus comma, quote or bracket just before it")
}

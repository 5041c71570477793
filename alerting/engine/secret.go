package engine

import (
	"errors"
	"regexp"
)

// values are what errors of Alertmanager's configuration repeat and may be secret:
// addresses that are none, with the token in them, and what is not of the type that
// a key has.
var values = regexp.MustCompile("parse \"(?:[^\"\\\\]|\\\\.)*\"|(unmarshal !!\\w+) `[^`]*`")

// withoutValues is err without them.
func withoutValues(err error) error {
	text := err.Error()
	clean := values.ReplaceAllStringFunc(text, func(s string) string {
		if m := values.FindStringSubmatch(s); m[1] != "" {
			return m[1] + " <value>"
		}
		return "parse <address>"
	})
	if clean == text {
		return err
	}
	return errors.New(clean)
}

package registry

import (
	"fmt"
	"os"
	"strings"

	"github.com/kongdao/kongdao/api"
)

// Resolve replaces each ${env:NAME} and ${file:path} in a secret by what it
// refers to; a file without the line break at its end, relative paths from the
// working directory. An unset or empty variable and an empty file are errors.
// Errors name the reference and never hold the secret.
func Resolve(secret api.Secret) (string, error) {
	refs, err := secret.Refs()
	if err != nil {
		return "", fmt.Errorf("secret %w", err)
	}
	var out strings.Builder
	rest := secret.Reveal()
	for _, ref := range refs {
		before, after, _ := strings.Cut(rest, ref)
		value, err := lookUp(ref)
		if err != nil {
			return "", err
		}
		out.WriteString(before)
		out.WriteString(value)
		rest = after
	}
	out.WriteString(rest)
	return out.String(), nil
}

func lookUp(ref string) (string, error) {
	kind, name, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(ref, "${"), "}"), ":")
	value := ""
	switch kind {
	case "env":
		value = os.Getenv(name)
	case "file":
		data, err := os.ReadFile(name)
		if err != nil {
			return "", fmt.Errorf("secret %s: %w", ref, err)
		}
		value = strings.TrimRight(string(data), "\r\n")
	}
	if value == "" {
		return "", fmt.Errorf("secret %s: is empty or not set", ref)
	}
	return value, nil
}

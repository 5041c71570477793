package scenario

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/template"
)

// Files is what of this machine a scenario may read: data files, bodies,
// descriptors, certificates, and ${env:…} and ${file:…} in headers. The zero value
// allows nothing, for scenarios that come from elsewhere.
type Files struct {
	Dir string                           // relative names begin here; empty: no files
	Env func(name string) (string, bool) // nil: no variables
}

var errNoFiles = errors.New("names a file, and this scenario may read none")

// path is where a file is.
func (f Files) path(name string) (string, error) {
	if f.Dir == "" {
		return "", errNoFiles
	}
	if filepath.IsAbs(name) {
		return name, nil
	}
	return filepath.Join(f.Dir, name), nil
}

// largestFile bounds what is read as a whole.
const largestFile = 64 << 20

func (f Files) read(name string) ([]byte, error) {
	path, err := f.path(name)
	if err != nil {
		return nil, err
	}
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > largestFile {
		return nil, fmt.Errorf("%s: is no file of at most %d bytes", path, largestFile)
	}
	return os.ReadFile(path)
}

// resolve is what a reference stands for. Errors never hold it.
func (f Files) resolve(ref string) (string, error) {
	kind, name, _ := strings.Cut(strings.TrimSuffix(strings.TrimPrefix(ref, "${"), "}"), ":")
	if kind == "file" {
		b, err := f.read(name)
		return strings.TrimRight(string(b), "\r\n"), err
	}
	if f.Env == nil {
		return "", fmt.Errorf("names the variable %s, and this scenario may read none", name)
	}
	value, ok := f.Env(name)
	if !ok {
		return "", fmt.Errorf("the variable %s is not set", name)
	}
	return value, nil
}

// headerValue is a template in which references stand for themselves: a secret is
// never parsed.
func (c *compiler) headerValue(scope *template.Scope, text string) (template.Template, error) {
	refs, err := api.Secret(text).Refs()
	if err != nil {
		return template.Template{}, err
	}
	var parts []template.Template
	for _, ref := range append(refs, "") {
		before, rest, _ := strings.Cut(text, ref)
		if ref == "" {
			before, rest = text, ""
		}
		text = rest
		part, err := scope.Parse(before)
		if err != nil {
			return template.Template{}, err
		}
		parts = append(parts, part)
		if ref == "" {
			break
		}
		value, err := c.files.resolve(ref)
		if err != nil {
			return template.Template{}, err
		}
		parts = append(parts, template.Literal(value))
	}
	return template.Join(parts...), nil
}

package scenario

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"strings"

	"github.com/kongdao/kongdao/loadtest/template"
)

// Files is what of this machine a scenario may read: data files, bodies,
// descriptors, certificates, and what ${env:…} and ${file:…} refer to. The zero value
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

// reference is one that is well formed.
var reference = regexp.MustCompile(`\$\{(?:env:[A-Za-z_][A-Za-z0-9_]*|file:[^${}\s]+)\}`)

// text is a template in which references stand for what they refer to, which is
// never parsed: a secret may look like a template.
func (c *compiler) text(scope *template.Scope, text string) (t template.Template, refers bool, err error) {
	var parts []template.Template
	last := 0
	for _, m := range append(reference.FindAllStringIndex(text, -1), []int{len(text), len(text)}) {
		before := text[last:m[0]]
		if strings.Contains(before, "${env:") || strings.Contains(before, "${file:") {
			return t, true, errors.New("has a malformed reference, want ${env:NAME} or ${file:path}")
		}
		part, err := scope.Parse(before)
		if err != nil {
			return t, true, err
		}
		parts = append(parts, part)
		if last = m[1]; m[0] == m[1] {
			break
		}
		value, err := c.files.resolve(text[m[0]:m[1]])
		if err != nil {
			return t, true, err
		}
		parts = append(parts, template.Literal(value))
	}
	return template.Join(parts...), len(parts) > 1, nil
}

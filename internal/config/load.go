package config

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"strings"

	"github.com/kongdao/kongdao/api"
)

// Load reads a file over the defaults. Every problem is reported; with any, the
// Config must not be used.
func Load(file string) (Config, api.Problems) {
	data, err := os.ReadFile(file)
	if err != nil {
		var path *fs.PathError
		if errors.As(err, &path) {
			err = path.Err
		}
		return Default(), api.Problems{{Source: api.Source{File: file}, Message: fmt.Sprintf("cannot be read: %s", err)}}
	}
	return Parse(file, data)
}

// Parse is Load for text that was read already; file is for messages.
func Parse(file string, data []byte) (Config, api.Problems) {
	c := Default()
	lines, problems := api.Decode(file, data, &c)
	for _, w := range c.wrongs() {
		if !reported(problems, w.field) {
			problems = append(problems, api.Problem{Source: api.Source{File: file, Line: lines.At(w.field)}, Field: w.field, Message: w.message})
		}
	}
	problems.Sort()
	return c, problems
}

// reported says whether a field was a problem already when it was read.
func reported(problems api.Problems, field string) bool {
	for _, p := range problems {
		if p.Field == field || strings.HasPrefix(p.Field, field+"[") {
			return true
		}
	}
	return false
}

// Decode reads YAML strictly into a pointer to a struct with yaml tags and keeps
// what is there already for keys that are not given: for configuration that is
// not part of Config. See [api.Decode].
func Decode(file string, data []byte, into any) api.Problems {
	_, problems := api.Decode(file, data, into)
	return problems
}

package registry

import (
	"maps"
	"os"
	"slices"

	"github.com/kongdao/kongdao/api"
)

// Texts are the files of a folder of resources, by name, for who wants to have them
// checked elsewhere: see [LoadTexts]. What cannot be read is a problem.
func Texts(dir string) (map[string]string, api.Problems) {
	t, err := readTree(dir, nil)
	if err != nil {
		return nil, api.Problems{{Source: api.Source{File: dir}, Message: err.Error()}}
	}
	texts := make(map[string]string, len(t.files))
	var problems api.Problems
	for name := range t.files {
		data, err := os.ReadFile(name)
		if err != nil {
			problems = append(problems, unreadable(name, err).problems...)
			continue
		}
		texts[name] = string(data)
	}
	problems.Sort()
	return texts, problems
}

// LoadTexts is [Load] of files whose texts are given by name.
func LoadTexts(texts map[string]string) (api.Set, api.Problems) {
	var problems api.Problems
	var sets []api.Set
	for _, name := range slices.Sorted(maps.Keys(texts)) {
		set, wrong := parse(name, []byte(texts[name]))
		sets, problems = append(sets, set), append(problems, wrong...)
	}
	set := api.Merge(sets...)
	problems = append(problems, api.Validate(set)...)
	problems.Sort()
	return set, problems
}

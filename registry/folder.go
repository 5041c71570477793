package registry

import (
	"errors"
	"fmt"
	"maps"
	"os"
	"slices"

	"github.com/kongdao/kongdao/api"
)

// Folder is a folder of resources as it was read once, with the files that they name
// and whose content is a part of them: for who has them checked elsewhere.
type Folder struct {
	Texts       map[string]string `json:"texts"`                 // resources, by name of their file
	Descriptors map[string][]byte `json:"descriptors,omitempty"` // descriptor sets, by path
}

// ReadFolder reads a folder. What cannot be read is a problem.
func ReadFolder(dir string) (Folder, api.Problems) {
	t, err := readTree(dir, nil)
	if err != nil {
		return Folder{}, api.Problems{{Source: api.Source{File: dir}, Message: err.Error()}}
	}
	folder := Folder{Texts: map[string]string{}, Descriptors: map[string][]byte{}}
	var problems api.Problems
	for name, f := range t.files {
		data, err := os.ReadFile(name)
		if err != nil {
			problems = append(problems, unreadable(name, err).problems...)
			continue
		}
		folder.Texts[name] = string(data)
		for _, path := range api.DescriptorSets(f.set) {
			if _, data, err := readNamed(path); err == nil { // else Load says it
				folder.Descriptors[path] = data
			}
		}
	}
	problems.Sort()
	return folder, problems
}

// Load is [Load] of what was read. It reads no file.
func (f Folder) Load() (api.Set, api.Problems) {
	var problems api.Problems
	var sets []api.Set
	for _, name := range slices.Sorted(maps.Keys(f.Texts)) {
		if len(f.Texts[name]) > maxFileBytes {
			problems = append(problems, unreadable(name, fmt.Errorf("has more than %d bytes: split it", maxFileBytes)).problems...)
			continue
		}
		set, wrong := parse(name, []byte(f.Texts[name]))
		wrong = append(wrong, api.LoadDescriptors(&set, f.descriptor)...)
		sets, problems = append(sets, set), append(problems, wrong...)
	}
	set := api.Merge(sets...)
	problems = append(problems, api.Validate(set)...)
	problems.Sort()
	return set, problems
}

func (f Folder) descriptor(path string) ([]byte, error) {
	data, there := f.Descriptors[path]
	if !there {
		return nil, errors.New("no such file")
	}
	return data, nil
}

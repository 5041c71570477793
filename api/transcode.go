package api

import (
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api/grpcjson"
)

// Transcode makes JSON calls into calls of gRPC methods, as the HTTP rules
// (google.api.http) of the methods say: the route's path takes the paths of the
// rules in. What no rule takes is answered 404. Calls that are gRPC already pass as
// they are.
type Transcode struct {
	DescriptorSet string   `yaml:"descriptorSet" json:"descriptorSet"`                   // file that protoc --include_imports --descriptor_set_out writes; relative to this file
	Services      []string `yaml:"services" json:"services"`                             // full names, such as shop.v1.Items
	AutoMapping   bool     `yaml:"autoMapping" json:"autoMapping,omitempty"`             // methods without rules are called by POST /package.Service/Method
	IgnoreUnknown bool     `yaml:"ignoreUnknownQuery" json:"ignoreUnknownQuery"`         // query parameters that no field has are left out; else they are answered 400
	ProtoNames    bool     `yaml:"protoNames" json:"protoNames,omitempty"`               // answers name fields as the .proto file does, item_id; else itemId
	Defaults      bool     `yaml:"defaults" json:"defaults,omitempty"`                   // answers have fields that are 0, false or empty, too
	EnumNumbers   bool     `yaml:"enumNumbers" json:"enumNumbers,omitempty"`             // answers have numbers for enums; else names
	Stream        string   `yaml:"stream" json:"stream,omitempty" want:"array or lines"` // of messages that pods stream; lines: one a line; empty: array

	// Set is what the file holds, nil before LoadDescriptors.
	Set *grpcjson.Set `yaml:"-" json:"-"`
}

// Ways in which streams of messages become JSON; the values of Transcode.Stream.
const (
	StreamArray = "array"
	StreamLines = "lines"
)

// Transcoder is what finds the methods of calls; an error says why there is none.
func (t *Transcode) Transcoder() (*grpcjson.Transcoder, error) {
	if t.Set == nil {
		return nil, fmt.Errorf("descriptor set %s was not read", t.DescriptorSet)
	}
	return t.Set.Transcoder(t.Services, t.AutoMapping)
}

// transcodes are all that a function and its routes have, with their fields.
func (f *Function) transcodes() (fields []string, all []*Transcode) {
	add := func(field string, t *Transcode) {
		if t != nil {
			fields, all = append(fields, field), append(all, t)
		}
	}
	add("spec.transcode", f.Spec.Transcode)
	for i := range f.Spec.Routes {
		add(fmt.Sprintf("spec.routes[%d].transcode", i), f.Spec.Routes[i].Transcode)
	}
	return fields, all
}

// DescriptorSets are the files with descriptor sets that a Set names, each once, as
// [LoadDescriptors] asks for them.
func DescriptorSets(set Set) (paths []string) {
	for _, f := range set.Functions {
		_, all := f.transcodes()
		for _, t := range all {
			if path := descriptorPath(f, t); !slices.Contains(paths, path) {
				paths = append(paths, path)
			}
		}
	}
	return paths
}

func descriptorPath(f *Function, t *Transcode) string {
	if filepath.IsAbs(t.DescriptorSet) {
		return filepath.Clean(t.DescriptorSet)
	}
	return filepath.Join(filepath.Dir(f.Source.File), t.DescriptorSet)
}

// LoadDescriptors reads the descriptor sets that the functions of a Set name, by the
// paths that [DescriptorSets] gives. Functions whose set cannot be read, or does not
// have what they want of it, are taken out of the Set into Broken and are in the
// problems.
func LoadDescriptors(set *Set, read func(path string) ([]byte, error)) (problems Problems) {
	sets, faults := map[string]*grpcjson.Set{}, map[string]error{}
	for _, path := range DescriptorSets(*set) {
		data, err := read(path)
		if err == nil {
			sets[path], err = grpcjson.Read(data)
		} else {
			err = fmt.Errorf("cannot be read: %w", err)
		}
		faults[path] = err
	}
	set.Functions = slices.DeleteFunc(slices.Clone(set.Functions), func(f *Function) bool {
		before := len(problems)
		r := &report{source: f.Source, lines: f.Lines, problems: &problems}
		fields, all := f.transcodes()
		for i, t := range all {
			path := descriptorPath(f, t)
			if err := faults[path]; err != nil {
				r.add(fields[i]+".descriptorSet", "%s %s", quote(t.DescriptorSet), brief(err))
				continue
			}
			t.Set = sets[path]
		}
		if len(problems) == before && len(all) > 0 {
			f.checkTranscoded(r)
		}
		if len(problems) == before {
			return false
		}
		set.Broken = append(set.Broken, KindFunction+"/"+f.Name)
		return true
	})
	problems.Sort()
	return problems
}

// brief is an error in one line of bounded length: those of descriptors can quote
// whole files.
func brief(err error) string {
	text := strings.Join(strings.Fields(err.Error()), " ")
	if r := []rune(text); len(r) > 300 {
		text = string(r[:300]) + "…"
	}
	return text
}

package apply

import (
	"bytes"
	"errors"
	"fmt"
	"reflect"
	"slices"

	"go.yaml.in/yaml/v3"

	"github.com/kongdao/kongdao/api"
)

// Limit is what a function's resource is to declare.
type Limit struct {
	PerPodQPS float64      `json:"perPodQPS"` // requests a second, above 0
	Measured  api.Measured `json:"measured"`
}

// ErrByHand marks an edit that would change more than it may: somebody has to write it.
var ErrByHand = errors.New("has to be written by hand")

// Edit returns the resource file with the limit in spec.capacity of the function. The
// rest of the text is the same, byte for byte. A limit that is there already gives the
// text as it was. An error leaves nothing done.
func Edit(text []byte, function string, l Limit) ([]byte, error) {
	docs, err := parse(text)
	if err != nil {
		return nil, err
	}
	i, err := find(docs, function)
	if err != nil {
		return nil, err
	}
	e := edit{text: text}
	if err := e.spec(docs[i].Content[0], l); err != nil {
		return nil, fmt.Errorf("spec.capacity of function %s %w: %w", function, ErrByHand, err)
	}
	out := e.apply()
	if err := verify(docs, i, out, l); err != nil {
		return nil, fmt.Errorf("spec.capacity of function %s %w: %w", function, ErrByHand, err)
	}
	return out, nil
}

// parse reads all documents of a file.
func parse(text []byte) (docs []*yaml.Node, err error) {
	for d := yaml.NewDecoder(bytes.NewReader(text)); ; {
		var n yaml.Node
		err := d.Decode(&n)
		switch {
		case err != nil && err.Error() == "EOF":
			return docs, nil
		case err != nil:
			return nil, fmt.Errorf("read resources: %w", err)
		}
		docs = append(docs, &n)
	}
}

// find is the document of a function.
func find(docs []*yaml.Node, function string) (int, error) {
	found := -1
	for i, d := range docs {
		if len(d.Content) != 1 {
			continue
		}
		root := d.Content[0]
		if scalar(get(root, "kind")) != api.KindFunction || scalar(get(get(root, "metadata"), "name")) != function {
			continue
		}
		if found >= 0 {
			return -1, fmt.Errorf("function %s is written twice", function)
		}
		found = i
	}
	if found < 0 {
		return -1, fmt.Errorf("there is no function %s", function)
	}
	return found, nil
}

// get is the value of a key of a mapping; nil without one.
func get(n *yaml.Node, key string) *yaml.Node {
	_, v := pair(n, key)
	return v
}

func pair(n *yaml.Node, key string) (k, v *yaml.Node) {
	if n == nil || n.Kind != yaml.MappingNode {
		return nil, nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Kind == yaml.ScalarNode && n.Content[i].Value == key {
			return n.Content[i], n.Content[i+1]
		}
	}
	return nil, nil
}

func scalar(n *yaml.Node) string {
	if n != nil && n.Kind == yaml.AliasNode {
		n = n.Alias
	}
	if n == nil || n.Kind != yaml.ScalarNode {
		return ""
	}
	return n.Value
}

// verify reads what an edit made: it must differ in what it was to change and in
// nothing else.
func verify(docs []*yaml.Node, changed int, out []byte, l Limit) error {
	after, err := parse(out)
	if err != nil {
		return err
	}
	if len(after) != len(docs) {
		return errors.New("the number of documents would change")
	}
	for i := range docs {
		var was, is any
		if err := errors.Join(docs[i].Decode(&was), after[i].Decode(&is)); err != nil {
			return err
		}
		if i == changed {
			if err := took(is, l); err != nil {
				return err
			}
			was, is = without(was), without(is)
		}
		if !reflect.DeepEqual(was, is) {
			return fmt.Errorf("more would change in the document at line %d", docs[i].Line)
		}
	}
	return nil
}

// took checks that a document declares the limit.
func took(doc any, l Limit) error {
	text, err := yaml.Marshal(doc)
	if err != nil {
		return err
	}
	var f struct {
		Spec struct {
			Capacity struct {
				PerPodQPS float64 `yaml:"perPodQPS"`
				Measured  struct {
					Date, Run, Revision string
					Low, High           float64
				}
			}
		}
	}
	if err := yaml.Unmarshal(text, &f); err != nil {
		return err
	}
	c := f.Spec.Capacity
	if m := c.Measured; c.PerPodQPS != l.PerPodQPS || (api.Measured{Date: m.Date, Low: m.Low, High: m.High, Run: m.Run, Revision: m.Revision}) != l.Measured {
		return errors.New("the limit would not be what was asked for")
	}
	return nil
}

// without is a copy of a function's document without what Edit may change.
func without(doc any) any {
	root, ok := doc.(map[string]any)
	if !ok {
		return doc
	}
	spec, _ := root["spec"].(map[string]any)
	root, spec = clone(root), clone(spec)
	capacity, _ := spec["capacity"].(map[string]any)
	capacity = clone(capacity)
	for _, key := range []string{"perPodQPS", "measured"} {
		delete(capacity, key)
	}
	spec["capacity"], root["spec"] = capacity, spec
	return root
}

func clone(m map[string]any) map[string]any {
	out := make(map[string]any, len(m)+1)
	for k, v := range m {
		out[k] = v
	}
	return out
}

// edit collects replacements of parts of a text.
type edit struct {
	text []byte
	all  []replacement
}

type replacement struct {
	from, to int // bytes of the old text
	text     string
}

func (e *edit) replace(from, to int, text string) {
	e.all = append(e.all, replacement{from, to, text})
}

func (e *edit) apply() []byte {
	slices.SortStableFunc(e.all, func(a, b replacement) int { return a.from - b.from })
	var out []byte
	at := 0
	for _, r := range e.all {
		out = append(append(out, e.text[at:r.from]...), r.text...)
		at = r.to
	}
	return append(out, e.text[at:]...)
}

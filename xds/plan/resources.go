package plan

import (
	"cmp"
	"encoding"
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api"
)

// What becomes of a resource.
const (
	Added   = "added"
	Removed = "removed"
	Changed = "changed"
)

// Resource is a resource that two sets do not have alike.
type Resource struct {
	Kind   string  `json:"kind"`
	Name   string  `json:"name"`
	Change string  `json:"change"`           // added, removed or changed
	Source string  `json:"source"`           // file:line of the new one; of the old one where it is removed
	Fields []Field `json:"fields,omitempty"` // of one that changed, in the order of the resource
}

// Field is a field with another value. What may be a secret is "changed".
type Field struct {
	Field  string `json:"field"` // such as spec.timeout
	Old    string `json:"old"`   // empty: not there
	New    string `json:"new"`   // empty: not there any more
	Source string `json:"source"`
}

// Resources lists what differs between two sets, by kind and name. Where something is
// written is no difference.
func Resources(old, now api.Set) []Resource {
	all := []Resource{}
	before, after := reflect.ValueOf(old), reflect.ValueOf(now)
	for i := range before.NumField() {
		kind := strings.TrimSuffix(before.Type().Field(i).Name, "s")
		if before.Field(i).Type().Elem().Kind() == reflect.Pointer {
			all = append(all, ofKind(kind, before.Field(i), after.Field(i))...)
		}
	}
	return all
}

// ofKind compares two lists of pointers to resources.
func ofKind(kind string, before, after reflect.Value) (all []Resource) {
	was, is := byName(before), byName(after)
	for _, name := range sortedKeys(was) {
		if _, kept := is[name]; !kept {
			all = append(all, Resource{Kind: kind, Name: name, Change: Removed, Source: metaOf(was[name]).Source.String()})
		}
	}
	for _, name := range sortedKeys(is) {
		r := Resource{Kind: kind, Name: name, Change: Changed, Source: metaOf(is[name]).Source.String()}
		if !was[name].IsValid() {
			r.Change = Added
			all = append(all, r)
			continue
		}
		d := differ{old: metaOf(was[name]), new: metaOf(is[name])}
		d.compare("", was[name], is[name])
		if r.Fields = d.fields; len(r.Fields) > 0 {
			all = append(all, r)
		}
	}
	slices.SortStableFunc(all, func(a, b Resource) int { return cmp.Compare(a.Name, b.Name) })
	return all
}

func byName(list reflect.Value) map[string]reflect.Value {
	all := map[string]reflect.Value{}
	for i := range list.Len() {
		all[metaOf(list.Index(i).Elem()).Name] = list.Index(i).Elem()
	}
	return all
}

func metaOf(resource reflect.Value) api.Metadata {
	m, _ := resource.FieldByName("Metadata").Interface().(api.Metadata)
	return m
}

// differ collects the fields in which two resources differ.
type differ struct {
	old, new api.Metadata
	fields   []Field
}

func (d *differ) add(field, before, after string) {
	source := api.Source{File: d.new.Source.File, Line: d.new.Lines.At(field)}
	if after == "" {
		source = api.Source{File: d.old.Source.File, Line: d.old.Lines.At(field)}
	}
	d.fields = append(d.fields, Field{field, before, after, source.String()})
}

// compare goes through two values of one type. An invalid one is not there.
func (d *differ) compare(field string, before, after reflect.Value) {
	if before.IsValid() && after.IsValid() && reflect.DeepEqual(before.Interface(), after.Interface()) {
		return
	}
	t := typeOf(before, after)
	switch {
	case hidden(field, t):
		was, is := present(before), present(after)
		if was == is {
			was, is = hiddenChange, hiddenChange
		}
		d.add(field, was, is)
	case !before.IsValid() || !after.IsValid() || isScalar(t):
		if was, is := brief(before), brief(after); was != is {
			d.add(field, was, is)
		}
	case t.Kind() == reflect.Pointer:
		d.compare(field, there(before), there(after))
	case t.Kind() == reflect.Struct:
		d.structs(field, before, after)
	case t.Kind() == reflect.Map:
		d.maps(field, before, after)
	default:
		d.lists(field, before, after)
	}
}

func (d *differ) structs(field string, before, after reflect.Value) {
	for i := range before.NumField() {
		f := before.Type().Field(i)
		name, _, _ := strings.Cut(f.Tag.Get("yaml"), ",")
		switch {
		case !f.IsExported() || name == "-" && f.Name != "Groups":
		case f.Anonymous && name == "":
			d.compare(field, before.Field(i), after.Field(i))
		default:
			if name == "-" {
				name = strings.ToLower(f.Name)
			}
			d.compare(strings.TrimPrefix(field+"."+name, "."), before.Field(i), after.Field(i))
		}
	}
}

func (d *differ) maps(field string, before, after reflect.Value) {
	var keys []string
	for _, m := range []reflect.Value{before, after} {
		for _, k := range m.MapKeys() {
			keys = append(keys, k.String())
		}
	}
	slices.Sort(keys)
	for _, k := range slices.Compact(keys) {
		key := reflect.ValueOf(k).Convert(before.Type().Key())
		d.compare(field+"."+k, before.MapIndex(key), after.MapIndex(key))
	}
}

// lists compares items that belong together: those of one name, address or way in.
func (d *differ) lists(field string, before, after reflect.Value) {
	taken := map[int]bool{}
	for i := range after.Len() {
		was := reflect.Value{}
		for j := range before.Len() {
			if !taken[j] && identity(before.Index(j), j) == identity(after.Index(i), i) {
				was, taken[j] = before.Index(j), true
				break
			}
		}
		d.compare(fmt.Sprintf("%s[%d]", field, i), was, after.Index(i))
	}
	for j := range before.Len() {
		if !taken[j] {
			d.compare(fmt.Sprintf("%s[%d]", field, j), before.Index(j), reflect.Value{})
		}
	}
}

// identity is equal for items of two lists that are the same thing.
func identity(item reflect.Value, place int) string {
	switch x := item.Interface().(type) {
	case api.Route:
		return fmt.Sprint(x.Hosts, x.Path, x.Methods)
	case api.Revision:
		return x.Name
	case api.Endpoint:
		return x.Address
	case api.Traffic:
		return fmt.Sprint(x.Revision, x.Match != nil)
	}
	if item.Kind() == reflect.Struct && item.FieldByName("Name").IsValid() {
		return item.FieldByName("Name").String()
	}
	return fmt.Sprint(place)
}

func typeOf(before, after reflect.Value) reflect.Type {
	if before.IsValid() {
		return before.Type()
	}
	return after.Type()
}

// there is what a pointer leads to; invalid where it leads nowhere.
func there(v reflect.Value) reflect.Value {
	if v.IsNil() {
		return reflect.Value{}
	}
	return v.Elem()
}

// hidden tells what is not shown: secrets, and sets of keys, which may be secret too.
func hidden(field string, t reflect.Type) bool {
	for t.Kind() == reflect.Slice || t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	return t == reflect.TypeFor[api.Secret]() || strings.HasSuffix(field, ".jwks.inline") || field == "spec.groups"
}

// hiddenChange stands for both values of what is not shown.
const hiddenChange = "changed"

func present(v reflect.Value) string {
	if !v.IsValid() || v.IsZero() {
		return ""
	}
	return "there"
}

// isScalar tells what is shown as a whole.
func isScalar(t reflect.Type) bool {
	if t.Implements(reflect.TypeFor[encoding.TextMarshaler]()) || t.Implements(reflect.TypeFor[fmt.Stringer]()) {
		return true
	}
	switch t.Kind() {
	case reflect.Struct, reflect.Map, reflect.Pointer:
		return false
	case reflect.Slice:
		return t.Elem().Kind() != reflect.Struct
	default:
		return true
	}
}

// brief is a value in a line; empty for one that is not there.
func brief(v reflect.Value) string {
	if v.IsValid() && v.Kind() == reflect.Pointer {
		v = there(v)
	}
	if !v.IsValid() || v.IsZero() && v.Kind() != reflect.Bool {
		return ""
	}
	if holdsSecret(v.Type(), 0) {
		return "there"
	}
	text := ""
	switch x := v.Interface().(type) {
	case api.Route:
		text = strings.TrimSpace(strings.Join(x.Methods, ",") + " " + strings.Join(x.Hosts, ",") + x.Path)
	case api.Revision:
		text = fmt.Sprintf("%s, %d pods", x.Name, len(x.Endpoints))
	case api.Endpoint:
		text = x.Address + " in " + x.Zone
	case api.Traffic:
		text = fmt.Sprintf("%s %d%%", x.Revision, x.Weight)
		if x.Match != nil {
			text = x.Revision + " for those that match"
		}
	case []string:
		text = strings.Join(x, ", ")
	default:
		text = fmt.Sprint(x)
		if v.Kind() == reflect.Struct && !isScalar(v.Type()) {
			text = "there"
		}
	}
	const most = 80
	if r := []rune(text); len(r) > most {
		text = string(r[:most]) + "…"
	}
	return cmp.Or(text, `""`)
}

// holdsSecret tells whether a value of the type may hold one.
func holdsSecret(t reflect.Type, depth int) bool {
	if t == reflect.TypeFor[api.Secret]() || t == reflect.TypeFor[api.JWKS]() || depth > 6 {
		return true
	}
	switch t.Kind() {
	case reflect.Pointer, reflect.Slice, reflect.Map:
		return holdsSecret(t.Elem(), depth+1)
	case reflect.Struct:
		for i := range t.NumField() {
			if t.Field(i).IsExported() && holdsSecret(t.Field(i).Type, depth+1) {
				return true
			}
		}
	}
	return false
}

// ResourcesText is what differs, for people.
func ResourcesText(all []Resource) string {
	var b strings.Builder
	for _, r := range all {
		mark := map[string]string{Added: "+", Removed: "-", Changed: "~"}[r.Change]
		fmt.Fprintf(&b, "%s %s %s (%s)\n", mark, r.Kind, r.Name, r.Source)
		for _, f := range r.Fields {
			switch {
			case f.Old == hiddenChange && f.New == hiddenChange:
				fmt.Fprintf(&b, "    %s: changed (%s)\n", f.Field, f.Source)
			case f.Old == "":
				fmt.Fprintf(&b, "    %s: + %s (%s)\n", f.Field, printable(f.New), f.Source)
			case f.New == "":
				fmt.Fprintf(&b, "    %s: - %s (%s)\n", f.Field, printable(f.Old), f.Source)
			default:
				fmt.Fprintf(&b, "    %s: %s → %s (%s)\n", f.Field, printable(f.Old), printable(f.New), f.Source)
			}
		}
	}
	if len(all) == 0 {
		b.WriteString("no resource differs\n")
	}
	return b.String()
}

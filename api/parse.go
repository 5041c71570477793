package api

import (
	"fmt"
	"reflect"
	"slices"
	"strings"

	"github.com/goccy/go-yaml/ast"
)

// kinds maps each kind to a new resource of it.
var kinds = []struct {
	name string
	new  func() resource
}{
	{KindFunction, func() resource { return &Function{} }},
	{KindZone, func() resource { return &Zone{} }},
	{KindGatewayGroup, func() resource { return &GatewayGroup{} }},
	{KindConsumer, func() resource { return &Consumer{} }},
	{KindLimit, func() resource { return &Limit{} }},
	{KindAlertRule, func() resource { return &AlertRule{} }},
	{KindRobot, func() resource { return &Robot{} }},
	{KindChannel, func() resource { return &Channel{} }},
	{KindScenario, func() resource { return &Scenario{} }},
	{KindCertificate, func() resource { return &Certificate{} }},
	{KindTrafficSwitch, func() resource { return &TrafficSwitch{} }},
	{KindPerson, func() resource { return &Person{} }},
	{KindTeam, func() resource { return &Team{} }},
	{KindOnCall, func() resource { return &OnCall{} }},
}

// Parse reads the resources of a file, one in each YAML document. Everything that
// is wrong is reported, each problem with its line; resources with a problem are
// not in the Set, the others are. What only the whole configuration can show,
// such as a route that two functions hold, is left to [Validate].
func Parse(file string, data []byte) (Set, Problems) {
	docs, problems := documents(file, data)
	var set Set
	for _, doc := range docs {
		if doc.root == nil {
			continue
		}
		r, ps := doc.resource()
		if len(ps) > 0 {
			problems = append(problems, ps...)
			if r != nil && r.meta().Name != "" {
				set.Broken = append(set.Broken, r.kind()+"/"+r.meta().Name)
			}
			continue
		}
		r.addTo(&set)
	}
	problems.Sort()
	set.sort()
	return set, problems
}

// header is what every document begins with.
type header struct {
	APIVersion string
	Kind       string
}

// resource decodes and checks the resource of one document.
func (d document) resource() (resource, Problems) {
	dec := decoder{document: d, lines: Lines{}}
	dec.lines.set("", d.lineOf(d.root))
	h, ok := dec.header()
	if !ok {
		return nil, dec.problems
	}
	var r resource
	for _, k := range kinds {
		if k.name == h.Kind {
			r = k.new()
		}
	}
	dec.body(r)
	dec.locate(r)
	rep := &report{source: r.meta().Source, lines: dec.lines, known: dec.meant, problems: &dec.problems}
	for _, p := range dec.problems {
		rep.known = append(rep.known, p.Field)
	}
	r.check(rep)
	return r, dec.problems
}

// header reads apiVersion and kind; without them nothing else can be judged.
func (d *decoder) header() (header, bool) {
	entries, ok := d.entries("", d.root)
	if !ok {
		d.wrongKind("", d.root, "a mapping with apiVersion, kind, metadata and spec")
		return header{}, false
	}
	var h header
	for _, e := range entries {
		d.lines.set(e.key, e.line)
		switch e.key {
		case "apiVersion":
			d.value(e.key, e.value, reflect.ValueOf(&h.APIVersion).Elem(), Version)
		case "kind":
			d.value(e.key, e.value, reflect.ValueOf(&h.Kind).Elem(), oneOf(kindNames()))
		}
	}
	d.problems = slices.DeleteFunc(d.problems, func(p Problem) bool { return strings.Contains(p.Message, "given twice") }) // body reports them
	if len(d.problems) == 0 && h.APIVersion != Version {
		d.add("apiVersion", d.lines.At("apiVersion"), "%s, want %s", isOrMissing(h.APIVersion), Version)
	}
	if !d.reported("kind") && !slices.Contains(kindNames(), h.Kind) {
		message := fmt.Sprintf("%s, %s", isOrMissing(h.Kind), suggest(h.Kind, kindNames()))
		if h.Kind == "" {
			message = "is missing, want " + oneOf(kindNames())
		}
		d.add("kind", d.lines.At("kind"), "%s", message)
	}
	return h, len(d.problems) == 0
}

func (d *decoder) reported(field string) bool {
	return slices.ContainsFunc(d.problems, func(p Problem) bool { return p.Field == field })
}

func isOrMissing(text string) string {
	if text == "" {
		return "is missing"
	}
	return "is " + quote(text)
}

func kindNames() []string {
	names := make([]string, len(kinds))
	for i, k := range kinds {
		names[i] = k.name
	}
	return names
}

// body decodes metadata and spec.
func (d *decoder) body(r resource) {
	entries, _ := d.entries("", d.root)
	v := reflect.ValueOf(r).Elem()
	given := map[string]bool{}
	for _, e := range entries {
		given[e.key] = true
		switch e.key {
		case "apiVersion", "kind":
		case "metadata":
			d.value(e.key, e.value, v.FieldByName("Metadata"), "")
		case "spec":
			d.value(e.key, e.value, v.FieldByName("Spec"), "")
		default:
			d.add(e.key, e.line, "unknown key, %s", suggest(e.key, []string{"apiVersion", "kind", "metadata", "spec"}))
		}
	}
	for _, key := range []string{"metadata", "spec"} {
		if !given[key] {
			f, _ := v.Type().FieldByName(strings.ToUpper(key[:1]) + key[1:])
			d.add(key, d.lines.At(""), "is missing, want %s", wantOf(f.Type, ""))
		}
	}
}

// locate writes where a resource and its parts stand, and the tenant's default.
func (d *decoder) locate(r resource) {
	m := r.meta()
	m.Source = Source{d.file, d.lines.At("")}
	m.Lines = d.lines
	if m.Tenant == "" {
		m.Tenant = DefaultTenant
	}
	f, ok := r.(*Function)
	if !ok {
		return
	}
	for i := range f.Spec.Routes {
		f.Spec.Routes[i].Source = Source{d.file, d.lines.At(fmt.Sprintf("spec.routes[%d]", i))}
	}
	for i := range f.Spec.Revisions {
		f.Spec.Revisions[i].Source = Source{d.file, d.lines.At(fmt.Sprintf("spec.revisions[%d]", i))}
	}
}

// decodeNode keeps the rule groups as they were written, for Prometheus' own
// parser, and checks no more than that there are some.
func (s *AlertRuleSpec) decodeNode(d *decoder, field string, n ast.Node) {
	entries, ok := d.entries(field, n)
	if !ok {
		d.wrongKind(field, n, "a mapping with groups, in the format of Prometheus' rule files, or logGroups")
		return
	}
	for _, e := range entries {
		path := join(field, e.key)
		d.lines.set(path, e.line)
		list, isList := e.value.(*ast.SequenceNode)
		switch {
		case e.key != "groups" && e.key != "logGroups":
			d.add(path, e.line, "unknown key, %s", suggest(e.key, []string{"groups", "logGroups"}))
		case !isList || len(list.Values) == 0:
			d.add(path, e.line, "is %s, want a list of groups, each with a name and rules", emptyOr(e.value))
		case e.key == "groups":
			s.Groups, s.Line = d.textOf(e), e.line
		default:
			s.LogGroups, s.LogLine = d.textOf(e), e.line
		}
	}
}

func emptyOr(n ast.Node) string {
	switch n.(type) {
	case nil, *ast.NullNode, *ast.SequenceNode:
		return "empty"
	}
	return kindOf(n)
}

// textOf is a key with its value as they were written, moved to the left margin.
// Written within braces it is rendered anew, on fewer lines.
func (d *decoder) textOf(e entry) string {
	first := e.line - d.offset - 1
	text := d.text[first]
	body := strings.TrimLeft(text, " ")
	if !strings.HasPrefix(body, e.key) {
		return e.key + ": " + strings.ReplaceAll(e.value.String(), "\n", " ") + "\n"
	}
	margin := len(text) - len(body)
	var b strings.Builder
	for i, line := range d.text[first:] {
		indent := len(line) - len(strings.TrimLeft(line, " "))
		blank := strings.TrimSpace(line) == ""
		inside := indent > margin || (indent == margin && strings.HasPrefix(line[indent:], "- "))
		if i > 0 && !blank && !inside && line[indent] != '#' {
			break
		}
		b.WriteString(line[min(indent, margin):])
		b.WriteByte('\n')
	}
	return strings.TrimRight(b.String(), "\n") + "\n"
}

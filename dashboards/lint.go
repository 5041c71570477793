package dashboards

import (
	"fmt"
	"regexp"
	"slices"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// Panel is a query and where it stands.
type Panel struct {
	Dashboard string // title
	Title     string // of the panel, or "annotation" and its name; empty for the query of a variable
	Variable  string // name; empty for the query of a panel
	Query     Query
}

// String names the place, such as Function detail/Slowest calls/A.
func (p Panel) String() string {
	if p.Variable != "" {
		return p.Dashboard + "/$" + p.Variable
	}
	return p.Dashboard + "/" + p.Title + "/" + p.Query.RefID
}

// Queries are those of all panels, annotations and variables of d.
func (d Dashboard) Queries() []Panel {
	var all []Panel
	for _, v := range d.Model.Templating.List {
		if v.Type != dashboard.VariableTypeQuery {
			continue
		}
		sql, _ := v.Query.Map["rawSql"].(string) // Lint reports a variable without
		all = append(all, Panel{Dashboard: d.Title, Variable: v.Name, Query: query(v.Name, Table, sql)})
	}
	for _, a := range d.Model.Annotations.List {
		if q, ok := a.Target.(Query); ok {
			all = append(all, Panel{Dashboard: d.Title, Title: "annotation " + a.Name, Query: q})
		}
	}
	for _, p := range d.panels() {
		for _, target := range p.Targets {
			if q, ok := target.(Query); ok {
				all = append(all, Panel{Dashboard: d.Title, Title: *p.Title, Query: q})
			}
		}
	}
	return all
}

// panels are those that show something: all but rows.
func (d Dashboard) panels() []*dashboard.Panel {
	var all []*dashboard.Panel
	for _, p := range d.Model.Panels {
		if p.Panel != nil {
			all = append(all, p.Panel)
		}
		if p.RowPanel != nil {
			for i := range p.RowPanel.Panels {
				all = append(all, &p.RowPanel.Panels[i])
			}
		}
	}
	return all
}

// Lint says what is wrong with d; each problem names its panel. The rules are
// those of the package comment, and that ids are unique, panels do not overlap,
// every variable that is used exists and every one that exists is used.
func Lint(d Dashboard) []string {
	problems := d.lintIDs()
	places := map[[2]uint32]string{}
	for _, p := range d.panels() {
		name := text(p.Title)
		for _, problem := range lintPanel(p) {
			problems = append(problems, fmt.Sprintf("%s/%s: %s", d.Title, name, problem))
		}
		for _, cell := range cells(p.GridPos) {
			if other, taken := places[cell]; taken {
				problems = append(problems, fmt.Sprintf("%s/%s: overlaps %s", d.Title, name, other))
				break
			}
			places[cell] = name
		}
	}
	return append(problems, d.lintVariables()...)
}

func lintPanel(p *dashboard.Panel) []string {
	var problems []string
	must := func(ok bool, problem string) {
		if !ok {
			problems = append(problems, problem)
		}
	}
	must(text(p.Title) != "", "no title")
	must(len(text(p.Description)) >= 20, "no description")
	must(p.FieldConfig != nil && text(p.FieldConfig.Defaults.Unit) != "", "no unit")
	must(len(p.Links) > 0, "no link onward")
	must(len(p.Targets) > 0, "no query")
	must(p.Datasource != nil && p.Datasource.Equals(source()), "its data source is not ${datasource}")
	must(p.GridPos != nil && p.GridPos.X+p.GridPos.W <= fullWidth, "wider than the page")
	for _, target := range p.Targets {
		q, ok := target.(Query)
		must(ok && q.Datasource.Equals(source()), "the data source of a query is not ${datasource}")
		must(ok && q.Validate() == nil, "a query without rawSql or refId")
	}
	return problems
}

func (d Dashboard) lintIDs() []string {
	var problems []string
	seen := map[uint32]bool{}
	check := func(id *uint32, title string) {
		switch {
		case id == nil:
			problems = append(problems, fmt.Sprintf("%s/%s: no id", d.Title, title))
		case seen[*id]:
			problems = append(problems, fmt.Sprintf("%s/%s: id %d is taken", d.Title, title, *id))
		default:
			seen[*id] = true
		}
	}
	for _, p := range d.Model.Panels {
		if p.RowPanel != nil {
			check(&p.RowPanel.Id, text(p.RowPanel.Title))
		}
	}
	for _, p := range d.panels() {
		check(p.Id, text(p.Title))
	}
	return problems
}

// used is a variable in a query or a link: $name, ${name} or ${name:format}, but
// none of Grafana's own, which begin with two underscores.
var used = regexp.MustCompile(`\$\{?([a-z]\w*)`)

func (d Dashboard) lintVariables() []string {
	var problems, defined []string
	uses := map[string]bool{"datasource": true}
	for _, v := range d.Model.Templating.List {
		defined = append(defined, v.Name)
		if v.Type == dashboard.VariableTypeQuery && (v.Datasource == nil || !v.Datasource.Equals(source())) {
			problems = append(problems, fmt.Sprintf("%s/$%s: its data source is not ${datasource}", d.Title, v.Name))
		}
	}
	for _, q := range d.Queries() {
		for _, match := range used.FindAllStringSubmatch(q.Query.SQL, -1) {
			uses[match[1]] = true
			if !slices.Contains(defined, match[1]) {
				problems = append(problems, fmt.Sprintf("%s: no variable %s", q, match[1]))
			}
		}
	}
	for _, name := range defined {
		if !uses[name] {
			problems = append(problems, fmt.Sprintf("%s/$%s: no query uses it", d.Title, name))
		}
	}
	return problems
}

func cells(g *dashboard.GridPos) [][2]uint32 {
	if g == nil {
		return nil
	}
	var all [][2]uint32
	for x := g.X; x < g.X+g.W; x++ {
		for y := g.Y; y < g.Y+g.H; y++ {
			all = append(all, [2]uint32{x, y})
		}
	}
	return all
}

func text(s *string) string {
	if s == nil {
		return ""
	}
	return *s
}

package drill

import (
	"fmt"
	"html/template"
	"io"
)

// page is the report on one page, without anything from elsewhere.
var page = template.Must(template.New("drill").Parse(`<!doctype html>
<html lang="en"><meta charset="utf-8"><title>Drill of {{.Zone}}, {{.Began.Format "2006-01-02 15:04"}}</title>
<style>
body{font:14px/1.5 system-ui,sans-serif;max-width:70em;margin:2em auto;padding:0 1em;color:#222}
table{border-collapse:collapse;margin:1em 0}td,th{padding:.2em .8em .2em 0;text-align:left;border-bottom:1px solid #ddd;vertical-align:top}
.done{color:#176b2c}.bad{color:#a4161a}h1{font-size:1.4em}
</style>
<h1>Drill of zone {{.Zone}}: <span class="{{if eq .State "done"}}done{{else}}bad{{end}}">{{.State}}</span></h1>
<p>{{.ID}}, by {{.By}}, {{.Began.Format "2006-01-02 15:04:05 MST"}}{{with .Why}}{{.}}{{end}}</p>
{{with .Refusals}}<ul class="bad">{{range .}}<li>{{.Function}}: {{.Reason}}</li>{{end}}</ul>{{end}}
{{with .Functions}}<h2>Functions</h2><table><tr><th>function<th>offered<th>a pod<th>p99 before<th>p99 predicted<th>p99 seen<th>off<th>refused: predicted<th>seen<th>failed</tr>
{{range .}}<tr>{{range .}}<td>{{.}}{{end}}</tr>
{{end}}</table>{{end}}
{{with .Zones}}<h2>Zones</h2><table><tr><th>function<th>zone<th>pods<th>before<th>predicted<th>seen<th>p99 seen</tr>
{{range .}}<tr>{{range .}}<td>{{.}}{{end}}</tr>
{{end}}</table>{{end}}
{{with .Course}}<h2>Course</h2><table>{{range .}}<tr><td>{{.At}}<td>{{.What}}</tr>
{{end}}</table>{{end}}
{{range .Figures}}<p>{{.}}</p>
{{end}}</html>
`))

// WriteHTML writes the whole record as one page.
func (r Record) WriteHTML(w io.Writer) error {
	type step struct{ At, What string }
	view := struct {
		Record
		Why       string
		Refusals  []Finding
		Functions [][]any
		Zones     [][]any
		Course    []step
		Figures   []string
	}{Record: r, Why: r.why(), Zones: r.zoneRows(), Figures: r.figures()}
	for _, f := range r.Precheck.Findings {
		if !f.OK {
			view.Refusals = append(view.Refusals, f)
		}
	}
	for _, c := range r.Compare() {
		view.Functions = append(view.Functions, c.cells())
	}
	for _, e := range r.Events {
		view.Course = append(view.Course, step{fmt.Sprintf("%.1f s", e.At.Sub(r.Began).Seconds()), e.What})
	}
	if err := page.Execute(w, view); err != nil {
		return fmt.Errorf("report of drill %s: %w", r.ID, err)
	}
	return nil
}

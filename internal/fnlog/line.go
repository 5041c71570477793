package fnlog

import (
	"strings"
	"time"
)

// Line is one log record as people and programs read it: a row of the table
// function_logs, with ids as text. Text is valid UTF-8; what the function sent may
// not have been.
type Line struct {
	Time         time.Time         `ch:"ts" json:"ts"`
	Tenant       string            `ch:"tenant" json:"tenant,omitempty"`
	Function     string            `ch:"function" json:"function"`
	Revision     string            `ch:"revision" json:"revision,omitempty"`
	Zone         string            `ch:"zone" json:"zone,omitempty"`
	Pod          string            `ch:"pod" json:"pod,omitempty"`
	RequestID    string            `ch:"request_id" json:"request_id,omitempty"` // empty when there is none
	TraceID      string            `ch:"trace_id" json:"trace_id,omitempty"`     // 32 hex digits; empty when there is none
	SpanID       string            `ch:"span_id" json:"span_id,omitempty"`       // 16 hex digits; empty when there is none
	Severity     uint8             `ch:"severity" json:"severity"`               // as OTLP numbers them; see SeverityName
	SeverityText string            `ch:"severity_text" json:"severity_text,omitempty"`
	Scope        string            `ch:"scope" json:"scope,omitempty"`
	Body         string            `ch:"body" json:"body"`
	Attrs        map[string]string `ch:"attrs" json:"attrs,omitempty"`
}

// LineColumns is what to SELECT from function_logs AS l for the fields of a Line.
func LineColumns() string {
	var list []string
	for _, c := range Columns() {
		switch c.Name {
		case "request_id":
			list = append(list, "if(l.request_id = toUUID('00000000-0000-0000-0000-000000000000'), '', toString(l.request_id)) AS request_id")
		case "trace_id":
			list = append(list, "if(l.trace_id = toFixedString('', 16), '', lower(hex(l.trace_id))) AS trace_id")
		case "span_id":
			list = append(list, "if(l.span_id = toFixedString('', 8), '', lower(hex(l.span_id))) AS span_id")
		default:
			list = append(list, "l."+c.Name+" AS "+c.Name)
		}
	}
	return strings.Join(list, ", ")
}

// Tidy makes a Line that was read with LineColumns fit for JSON.
func (l *Line) Tidy() {
	l.Time = l.Time.UTC()
	for _, s := range []*string{&l.Tenant, &l.Function, &l.Revision, &l.Zone, &l.Pod, &l.SeverityText, &l.Scope, &l.Body} {
		*s = strings.ToValidUTF8(*s, "\uFFFD")
	}
	if len(l.Attrs) == 0 {
		l.Attrs = nil
	}
	for k, v := range l.Attrs {
		l.Attrs[k] = strings.ToValidUTF8(v, "\uFFFD")
	}
}

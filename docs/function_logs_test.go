package docs_test

import (
	"fmt"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/internal/fnlog"
)

func TestFunctionLogsAreWritten(t *testing.T) {
	var page strings.Builder
	page.WriteString("# The table function_logs\n\nOne row a log record that a function sent over OTLP, in ClickHouse, kept 14 days. It joins `calls` by `trace_id` or `request_id`.\n\n")
	page.WriteString("| column | type | what it says |\n|---|---|---|\n")
	for _, c := range fnlog.Columns() {
		fmt.Fprintf(&page, "| `%s` | `%s` | %s |\n", c.Name, c.Type, c.Doc)
	}
	page.WriteString("\nKeys of `attrs` that the collector adds:\n\n| key | value |\n|---|---|\n")
	for _, a := range []struct{ key, doc string }{
		{fnlog.AttrEvent, "the record's event name"},
		{fnlog.AttrDroppedAttrs, "how many attributes are missing: dropped by the function's SDK, or beyond the limits"},
		{fnlog.AttrCutBytes, "how many bytes are missing at the ends of body and attributes"},
		{fnlog.AttrClock, "the function's own time, where it was too far off to be `ts`"},
	} {
		fmt.Fprintf(&page, "| `%s` | %s |\n", a.key, a.doc)
	}
	golden(t, "reference/function_logs.md", page.String())
}

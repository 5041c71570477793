package dashboards

import (
	"fmt"
	"strings"

	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

// loadTests marks the time in which load tests ran that where is true of. It reads
// calls, which every reader may: what a run measured is in the table load_runs and at
// /api/v1/load-runs/annotations.
func (p *page) loadTests(where []string) {
	p.Annotation(dashboard.NewAnnotationQueryBuilder().Name("Load tests").Enable(true).IconColor("purple").
		Datasource(source()).Target(query("Anno", Table, fmt.Sprintf(`SELECT
  min(r.ts) AS time,
  max(r.ts) AS timeEnd,
  concat('load test ', r.load_test) AS title,
  concat(toString(sum(r.sample_weight)), ' calls of ', arrayStringConcat(arraySort(groupUniqArray(5)(r.function)), ', ')) AS text,
  'load-test' AS tags
FROM calls AS r
WHERE $__timeFilter_ms(ts)
  AND %s
GROUP BY r.load_test
ORDER BY time
LIMIT 100`, strings.Join(where, "\n  AND ")))))
}

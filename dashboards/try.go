package dashboards

import (
	"context"
	"fmt"
	"time"

	"github.com/kongdao/kongdao/internal/clickhouse"
)

// Try runs every query of all on c, as they run when a dashboard has just been
// opened on the last hour, and says which ones c refuses: for want of a table, a
// column or a right. It does not ask for rows. The error is that of ctx.
func Try(ctx context.Context, c *clickhouse.Client, all []Dashboard) (problems []string, err error) {
	now := time.Now()
	for _, d := range all {
		for _, q := range d.Queries() {
			sql, err := Expand(q.Query.SQL, opened(now.Add(-time.Hour), now))
			if err == nil {
				err = c.Exec(ctx, sql)
			}
			if ctx.Err() != nil {
				return problems, ctx.Err()
			}
			if err != nil {
				problems = append(problems, fmt.Sprintf("%s: %v", q, err))
			}
		}
	}
	return problems, nil
}

// opened is the setting of a dashboard that nobody has chosen anything on yet.
func opened(from, to time.Time) Setting {
	nothing := Value{Chosen: []string{""}}
	return Setting{From: from, To: to, Interval: 10 * time.Second, Variables: map[string]Value{
		"rollup": {Chosen: []string{"calls_10s"}}, "step": {Chosen: []string{"10"}},
		"function": nothing, "revision": {All: true}, "zone": {All: true}, "limit": nothing,
	}}
}

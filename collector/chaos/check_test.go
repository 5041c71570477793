package chaos

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/testkit"
)

// most is how many differences are told.
const most = 20

// storedCalls is how often each call is in the table calls.
func storedCalls(t testing.TB, c *clickhouse.Client) map[key]int {
	t.Helper()
	rows, err := c.Query(testkit.Context(t), `SELECT gateway, toUInt64(substring(toString(request_id), 25)) AS n, count()
		FROM calls WHERE gateway != 'other' GROUP BY gateway, n`)
	testkit.Must(t, err)
	defer rows.Close()
	stored := map[key]int{}
	for rows.Next() {
		var gateway string
		var n, count uint64
		testkit.Must(t, rows.Scan(&gateway, &n, &count))
		stored[key{stream: gateway == streamGateway, n: int(n)}] += int(count)
	}
	testkit.Must(t, rows.Err())
	return stored
}

// calls lists what is wrong with the stored calls, given how many lines were
// written and how many calls were streamed.
func (l *ledger) calls(stored map[key]int, lines, streamed int) (wrong []string) {
	note := func(k key, what string) {
		wrong = append(wrong, fmt.Sprintf("%v %s; %s", k, what, l.tokens(k)))
	}
	for n := range lines {
		k := key{n: n}
		switch {
		case l.lost[k] && stored[k] != 0:
			note(k, "is stored although its block was damaged")
		case !l.lost[k] && stored[k] == 0:
			note(k, "is lost")
		}
	}
	for k := range l.durable {
		if k.stream && stored[k] == 0 {
			note(k, "is lost although its block was on disk")
		}
	}
	for k, times := range stored {
		switch {
		case times > 1:
			note(k, fmt.Sprintf("is stored %d times", times))
		case k.stream && k.n >= streamed, !k.stream && k.n >= lines:
			note(k, "was never sent")
		case k.stream && l.lost[k]:
			note(k, "is stored although its block was taken away")
		}
	}
	slices.Sort(wrong)
	return wrong
}

// rollups lists the rows of every rollup that differ from the same aggregation
// over calls. Intervals that are about to expire do not count.
func rollups(t testing.TB, c *clickhouse.Client) (wrong []string) {
	t.Helper()
	for _, r := range schema.Rollups() {
		keep := "t > now() - INTERVAL " + r.Keep + " + INTERVAL 1 DAY"
		query := fmt.Sprintf(`
SELECT toString(tuple(%[1]s)), groupArray((side, calls, errors, refused, bytes_in, bytes_out, duration)) AS both
FROM (
  SELECT 'rollup' AS side, %[1]s, sum(calls) AS calls, sum(errors) AS errors, sum(refused) AS refused,
    sum(bytes_in) AS bytes_in, sum(bytes_out) AS bytes_out, hex(quantilesDDMergeState(0.01, 0.5, 0.9, 0.99)(duration)) AS duration
  FROM %[2]s WHERE %[4]s GROUP BY %[1]s
  UNION ALL
  SELECT 'calls' AS side, toStartOfInterval(toDateTime(ts), INTERVAL %[3]s) AS t, tenant, function, load_test != '' AS load_test,
    revision, zone, status, sum(toUInt64(sample_weight)) AS calls, sumIf(toUInt64(sample_weight), status >= 500) AS errors,
    sumIf(toUInt64(sample_weight), limited_by != '') AS refused, sum(c.bytes_in * sample_weight) AS bytes_in,
    sum(c.bytes_out * sample_weight) AS bytes_out, hex(quantilesDDState(0.01, 0.5, 0.9, 0.99)(duration_us)) AS duration
  FROM calls AS c WHERE %[4]s GROUP BY %[1]s
)
GROUP BY %[1]s
HAVING count() != 2 OR uniqExact((calls, errors, refused, bytes_in, bytes_out, duration)) != 1
ORDER BY %[1]s LIMIT %[5]d`, "t, tenant, function, load_test, revision, zone, status", r.Name, r.Step, keep, most)
		rows, err := c.Query(testkit.Context(t), query)
		testkit.Must(t, err)
		for rows.Next() {
			var at string
			var both [][]any
			testkit.Must(t, rows.Scan(&at, &both))
			wrong = append(wrong, fmt.Sprintf("%s %s: %v", r.Name, at, both))
		}
		testkit.Must(t, rows.Err())
	}
	return wrong
}

// shorten joins the first differences and says how many there are.
func shorten(wrong []string) string {
	n := len(wrong)
	if n > most {
		wrong = append(slices.Clone(wrong[:most]), "…")
	}
	return fmt.Sprintf("%d differences:\n  %s", n, strings.Join(wrong, "\n  "))
}

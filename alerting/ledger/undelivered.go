package ledger

import (
	"context"
	"encoding/json"
	"slices"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"
)

// Undelivered is a message that was accepted and that nobody was told.
type Undelivered struct {
	Event        // of its acceptance, with its content
	Why   string // it was not delivered
}

// gone is how long an outbox that has something to deliver can be without any event:
// longer than robots are left alone that were sent too much.
const gone = 15 * time.Minute

// Undelivered are the messages accepted between two times that were given up on, or of
// which nothing was heard any more: their outbox is gone, or it is own and they are not
// among those that wait in it. Messages of whose group a newer one was delivered are
// not listed, and of several of one group in one channel only the newest; oldest first.
func (t Table) Undelivered(ctx context.Context, since, until time.Time, channel, own string, waiting []string) ([]Undelivered, error) {
	type found struct {
		row
		Reason    string    `ch:"why"`
		Dead      bool      `ch:"dead"`
		Heard     time.Time `ch:"heard"`
		Delivered time.Time `ch:"delivered"`
	}
	var rows []found
	err := t.Client.Select(ctx, &rows, `
WITH all AS (SELECT * FROM alert_messages FINAL WHERE at >= fromUnixTimestamp64Micro({since:Int64})),
  ends AS (SELECT message, max(event = 'dead') AS dead, argMaxIf(reason, at, reason != '') AS why,
    max(event IN ('digested', 'superseded', 'fallback') OR (event = 'sent' AND last)) AS ended FROM all GROUP BY message),
  heard AS (SELECT outbox, max(at) AS heard FROM all GROUP BY outbox),
  told AS (SELECT grouping, max(at) AS delivered FROM all WHERE event = 'digested' OR (event = 'sent' AND last) GROUP BY grouping)
SELECT `+columnsOf("a")+`, e.why AS why, e.dead AS dead, h.heard AS heard, d.delivered AS delivered
FROM all AS a
INNER JOIN ends AS e ON a.message = e.message
LEFT JOIN heard AS h ON a.outbox = h.outbox
LEFT JOIN told AS d ON a.grouping = d.grouping
WHERE a.event = 'accepted' AND NOT e.ended AND a.at < fromUnixTimestamp64Micro({until:Int64})
  AND ({channel:String} = '' OR a.channel = {channel:String})
ORDER BY a.at LIMIT 10000`,
		micros("since", since), micros("until", until), ch.Named("channel", channel))
	if err != nil {
		return nil, err
	}
	newest := map[[2]string]uuid.UUID{}
	for _, r := range rows {
		newest[[2]string{r.Channel, r.Grouping}] = r.row.Message
	}
	var all []Undelivered
	for _, r := range rows {
		u := Undelivered{Event: r.event(), Why: r.Reason}
		switch {
		case r.Delivered.After(r.At) || newest[[2]string{r.Channel, r.Grouping}] != r.row.Message:
			continue
		case r.Dead:
		case r.Outbox == own && slices.Contains(waiting, u.Message):
			continue
		case r.Outbox != own && time.Since(r.Heard) < gone:
			continue // it may be waiting there
		default:
			u.Why = "nothing more was heard of it"
		}
		u.Content = json.RawMessage(r.row.Content)
		all = append(all, u)
	}
	return all, nil
}

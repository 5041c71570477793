package ledger

import (
	"context"
	"encoding/json"
	"fmt"
	"strings"
	"time"

	ch "github.com/ClickHouse/clickhouse-go/v2"
	"github.com/google/uuid"

	"github.com/kongdao/kongdao/internal/clickhouse"
)

// Table is where events are kept in ClickHouse: alert_messages.
type Table struct{ Client *clickhouse.Client }

const columns = "at, id, event, message, channel, robot, matter, sequence, grouping, alert, severity, function, zone, team, firing, alerts, part, last, by, reason, outbox, content"

// columnsOf are the columns of a table in a join, under their own names.
func columnsOf(table string) string {
	names := strings.Split(columns, ", ")
	for i, n := range names {
		names[i] = table + "." + n + " AS " + n
	}
	return strings.Join(names, ", ")
}

// row is an event as the table has it.
type row struct {
	At       time.Time `ch:"at"`
	ID       uuid.UUID `ch:"id"`
	Event    string    `ch:"event"`
	Message  uuid.UUID `ch:"message"`
	Channel  string    `ch:"channel"`
	Robot    string    `ch:"robot"`
	Matter   string    `ch:"matter"`
	Sequence uint64    `ch:"sequence"`
	Grouping string    `ch:"grouping"`
	Alert    string    `ch:"alert"`
	Severity string    `ch:"severity"`
	Function string    `ch:"function"`
	Zone     string    `ch:"zone"`
	Team     string    `ch:"team"`
	Firing   bool      `ch:"firing"`
	Alerts   uint32    `ch:"alerts"`
	Part     uint16    `ch:"part"`
	Last     bool      `ch:"last"`
	By       string    `ch:"by"`
	Reason   string    `ch:"reason"`
	Outbox   string    `ch:"outbox"`
	Content  string    `ch:"content"`
}

func rowOf(e Event) row {
	id, _ := uuid.Parse(e.ID) // as ID makes them
	message, _ := uuid.Parse(e.Message)
	return row{
		At: e.At, ID: id, Event: string(e.Kind), Message: message, Channel: e.Channel, Robot: e.Robot, Matter: e.Matter,
		Sequence: e.Sequence, Grouping: e.Group, Alert: e.Alert, Severity: e.Severity, Function: e.Function, Zone: e.Zone,
		Team: e.Team, Firing: e.Firing, Alerts: uint32(e.Alerts), Part: uint16(e.Part), Last: e.Last, By: e.By,
		Reason: e.Reason, Outbox: e.Outbox, Content: string(e.Content),
	}
}

func (r row) event() Event {
	return Event{
		ID: plainID(r.ID), At: r.At.UTC(), Kind: Kind(r.Event), Message: plainID(r.Message), Outbox: r.Outbox, Channel: r.Channel, Robot: r.Robot,
		Matter: r.Matter, Sequence: r.Sequence, Group: r.Grouping, Alert: r.Alert, Severity: r.Severity, Function: r.Function, Zone: r.Zone,
		Team: r.Team, Firing: r.Firing, Alerts: int(r.Alerts), Part: int(r.Part), Last: r.Last, By: r.By, Reason: r.Reason,
		Content: json.RawMessage(r.Content),
	}
}

func plainID(id uuid.UUID) string { return strings.ReplaceAll(id.String(), "-", "") }

// Store adds events. Those that are there already replace themselves.
func (t Table) Store(ctx context.Context, events []Event) error {
	batch, err := t.Client.PrepareBatch(ctx, "INSERT INTO alert_messages ("+columns+")")
	if err != nil {
		return fmt.Errorf("store events: %w", err)
	}
	defer func() { _ = batch.Abort() }() // after Send it does nothing
	for _, e := range events {
		r := rowOf(e)
		if err := batch.AppendStruct(&r); err != nil {
			return fmt.Errorf("store event %s: %w", e.ID, err)
		}
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("store events: %w", err)
	}
	return nil
}

// Query chooses events. Zero fields choose all.
type Query struct {
	Since, Until time.Time // Until: not at it
	Channel      string
	Function     string
	Alert        string
	Matter       string // such as #A3F2
	Sequence     uint64 // of one message of the matter
	Kind         Kind
	Limit        int // the newest; 0: 100
}

// Read gives events, oldest first, without their content.
func (t Table) Read(ctx context.Context, q Query) ([]Event, error) {
	if q.Limit <= 0 {
		q.Limit = 100
	}
	if q.Until.IsZero() {
		q.Until = time.Now().Add(time.Minute) // a clock may be a little ahead
	}
	var rows []row
	err := t.Client.Select(ctx, &rows, `SELECT * FROM (
  SELECT * REPLACE ('' AS content) FROM alert_messages FINAL
  WHERE at >= fromUnixTimestamp64Micro({since:Int64}) AND at < fromUnixTimestamp64Micro({until:Int64})
    AND ({channel:String} = '' OR channel = {channel:String}) AND ({function:String} = '' OR function = {function:String})
    AND ({alert:String} = '' OR alert = {alert:String}) AND ({matter:String} = '' OR matter = {matter:String})
    AND ({sequence:UInt64} = 0 OR sequence = {sequence:UInt64}) AND ({event:String} = '' OR event = {event:String})
  ORDER BY at DESC, sequence DESC, indexOf({order:Array(String)}, event) DESC, id LIMIT {limit:UInt32}
) ORDER BY at, sequence, indexOf({order:Array(String)}, event), id`,
		ch.Named("order", Kinds()), micros("since", q.Since), micros("until", q.Until), ch.Named("channel", q.Channel), ch.Named("function", q.Function), ch.Named("alert", q.Alert),
		ch.Named("matter", q.Matter), ch.Named("sequence", fmt.Sprint(q.Sequence)), ch.Named("event", string(q.Kind)), ch.Named("limit", fmt.Sprint(q.Limit)))
	if err != nil {
		return nil, err
	}
	events := make([]Event, len(rows))
	for i, r := range rows {
		events[i] = r.event()
	}
	return events, nil
}

func micros(name string, t time.Time) any {
	return ch.Named(name, fmt.Sprint(max(0, t.UnixMicro())))
}

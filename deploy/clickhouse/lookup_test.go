package schema_test

import (
	"context"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/uuid"

	schema "github.com/kongdao/kongdao/deploy/clickhouse"
)

// TestLookupFindsWhatAScanFinds asks for every id of some calls, those of several
// calls of one trace over an hour and several functions too.
func TestLookupFindsWhatAScanFinds(t *testing.T) {
	c := migrated(t)
	ctx := context.Background()
	err := c.Exec(ctx, `INSERT INTO calls (ts, tenant, function, request_id, trace_id)
		SELECT now() - number * 37, concat('t', toString(number % 3)), concat('f', toString(number % 7)),
			if(number % 10 = 9, toUUID('00000000-0000-0000-0000-000000000000'), generateUUIDv4()),
			if(number % 2 = 1, toFixedString('', 16), toFixedString(concat('trace', toString(intDiv(number, 20))), 16))
		FROM numbers(2000)`)
	if err != nil {
		t.Fatal(err)
	}
	var entries uint64
	if err := c.QueryRow(ctx, "SELECT count() FROM call_ids").Scan(&entries); err != nil || entries != 1800+1000 {
		t.Errorf("%d entries and %v, want one for each id that is not zero, 2800", entries, err)
	}
	for _, kind := range []struct{ name, ids, id, hash string }{
		{"request", "SELECT DISTINCT toString(request_id) FROM calls WHERE notEmpty(request_id) LIMIT 50", "c.request_id = toUUID($1)", schema.RequestHash("$1")},
		{"trace", "SELECT DISTINCT hex(trace_id) FROM calls WHERE trace_id != toFixedString('', 16)", "c.trace_id = toFixedString(unhex($1), 16)", schema.TraceHash("$1")},
	} {
		rows, err := c.Query(ctx, kind.ids)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; rows.Next(); n++ {
			var id string
			if err := rows.Scan(&id); err != nil {
				t.Fatal(err)
			}
			var scanned, found []string
			const columns = "SELECT arraySort(groupArray(concat(toString(c.ts), c.tenant, c.function, toString(c.request_id)))) FROM calls AS c WHERE "
			if err := c.QueryRow(ctx, columns+kind.id, id).Scan(&scanned); err != nil {
				t.Fatal(err)
			}
			if err := c.QueryRow(ctx, columns+kind.id+" AND "+schema.ByHash("c", kind.hash), id).Scan(&found); err != nil {
				t.Fatal(err)
			}
			if diff := cmp.Diff(scanned, found); diff != "" || len(scanned) == 0 {
				t.Fatalf("%s %s: (-scan +lookup):\n%s", kind.name, id, diff)
			}
		}
		if err := rows.Close(); err != nil || n == 0 {
			t.Fatalf("%s: %d ids, %v", kind.name, n, err)
		}
	}
}

// TestLookupFindsEverySecond asks for calls at both ends of seconds of a minute.
func TestLookupFindsEverySecond(t *testing.T) {
	c := migrated(t)
	ctx := t.Context()
	minute := time.Now().UTC().Truncate(time.Minute).Add(-time.Hour)
	query := "SELECT count() FROM calls AS c WHERE c.request_id = toUUID($1) AND " + schema.ByHash("c", schema.RequestHash("$1"))
	for _, at := range []time.Duration{0, time.Microsecond, 30 * time.Second, 59 * time.Second, 59*time.Second + time.Microsecond, time.Minute - time.Microsecond} {
		id := uuid.NewString()
		// Each becomes a part of its own: neighbours in a granule would be read with it.
		err := c.Exec(ctx, "INSERT INTO calls (ts, tenant, function, request_id) VALUES (fromUnixTimestamp64Micro($1), 't', 'f', $2)", minute.Add(at).UnixMicro(), id)
		if err != nil {
			t.Fatal(err)
		}
		var n uint64
		if err := c.QueryRow(ctx, query, id).Scan(&n); err != nil || n != 1 {
			t.Errorf("call %v after the minute began: %d found (%v)", at, n, err)
		}
	}
}

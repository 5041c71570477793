package schema

import (
	"cmp"
	"context"
	"database/sql"
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/internal/fnlog"
)

// kept is a table whose rows go after some days.
type kept struct {
	table string
	at    string // expression: when a row is from
	days  int    // by default
	keep  string // the same as an interval in SQL, when it is not in days
	cold  bool   // moves to the cold volume
	small bool   // has no tenants and few rows: they are deleted one by one, those that are there, too
}

// keptTables are those with an end; but for small ones they have a column tenant.
// Months count 31 days.
func (c Config) keptTables() []kept {
	return []kept{
		{table: "calls", at: "toDateTime(ts)", days: c.RetentionDays, cold: true},
		{table: "call_ids", at: "day", days: c.RetentionDays + 1}, // its rows are as old as the start of their day
		{table: "calls_10s", at: "t", days: 7},
		{table: "calls_1m", at: "t", days: 3 * 31, keep: "3 MONTH"},
		{table: "calls_1h", at: "t", days: 13 * 31, keep: "13 MONTH"},
		{table: "load_runs", at: "toDateTime(ended)", days: cmp.Or(c.LoadRunDays, yearDays), small: true},
		{table: fnlog.Table, at: "toDateTime(ts)", days: 14, cold: true},
	}
}

// ttl is the table's TTL for c.
func (k kept) ttl(c Config) string {
	byDays := map[int][]string{}
	for tenant, days := range c.Tenants {
		if k.small {
			break
		}
		if k.at == "day" {
			days++
		}
		if k.cold || k.table == "call_ids" || days < k.days { // a rollup has an end of its own
			byDays[days] = append(byDays[days], tenant)
		}
	}
	delete(byDays, k.days)
	days := fmt.Sprint(k.days)
	if len(byDays) > 0 {
		var cases strings.Builder
		for _, d := range slices.Sorted(maps.Keys(byDays)) {
			slices.Sort(byDays[d])
			for i, t := range byDays[d] {
				byDays[d][i] = quote(t)
			}
			fmt.Fprintf(&cases, "tenant IN (%s), %d, ", strings.Join(byDays[d], ", "), d)
		}
		days = "multiIf(" + cases.String() + days + ")"
	}
	ttl := k.at + " + toIntervalDay(" + days + ")"
	if len(byDays) == 0 && k.keep != "" {
		ttl = k.at + " + INTERVAL " + k.keep
	}
	if k.cold && c.ColdAfterDays > 0 {
		ttl += fmt.Sprintf(", %s + toIntervalDay(%d) TO VOLUME 'cold'", k.at, c.ColdAfterDays)
	}
	return ttl
}

// partsOnly is the setting ttl_only_drop_parts: whole parts go, which costs nothing,
// as long as all rows of a part go at the same time. Where tenants differ, expired
// rows are merged away.
func (k kept) partsOnly(ttl string) string {
	if k.small || strings.Contains(ttl, "multiIf") {
		return "0"
	}
	return "1"
}

// reconcile makes what the tables have what c says, where it differs. Nothing is
// rewritten now: parts that are there learn of it when they are merged.
func (c Config) reconcile(ctx context.Context, db *sql.DB) (changed []string, err error) {
	for _, k := range c.keptTables() {
		statements, err := c.differences(ctx, db, k)
		if err != nil {
			return changed, fmt.Errorf("read how long %s is kept: %w", k.table, err)
		}
		for _, s := range statements {
			if _, err := db.ExecContext(ctx, s); err != nil {
				return changed, fmt.Errorf("%s: %w", s, err)
			}
			changed = append(changed, s)
		}
	}
	return changed, nil
}

// differences are the statements that are left to do for a table.
func (c Config) differences(ctx context.Context, db *sql.DB, k kept) (statements []string, err error) {
	table := local(k.table, c.Cluster)
	var engine, policy, want string
	ttl := k.ttl(c)
	// The server writes expressions its own way: it is asked to write ours, too.
	err = db.QueryRowContext(ctx, `SELECT engine_full, storage_policy, formatQuerySingleLine($1)
		FROM system.tables WHERE database = currentDatabase() AND name = $2`, "ALTER TABLE x MODIFY TTL "+ttl, table).Scan(&engine, &policy, &want)
	if err != nil {
		return nil, err
	}
	want = strings.TrimSuffix(strings.TrimPrefix(want, "ALTER TABLE x (MODIFY TTL "), ")")
	alter := "ALTER TABLE " + table + onCluster(c.Cluster)
	if c.StoragePolicy != "" && policy != c.StoragePolicy {
		statements = append(statements, alter+" MODIFY SETTING storage_policy = "+quote(c.StoragePolicy))
	}
	_, rest, _ := strings.Cut(engine, " TTL ")
	has, settings, _ := strings.Cut(rest, " SETTINGS ")
	if has != want {
		now := "0"
		if k.small {
			now = "1"
		}
		statements = append(statements, alter+" MODIFY TTL "+ttl+" SETTINGS materialize_ttl_after_modify = "+now)
	}
	if only := "ttl_only_drop_parts = " + k.partsOnly(ttl); !strings.Contains(", "+settings+",", ", "+only+",") {
		statements = append(statements, alter+" MODIFY SETTING "+only)
	}
	return statements, nil
}

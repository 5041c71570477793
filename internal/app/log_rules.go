package app

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"math"
	"reflect"
	"slices"

	"github.com/ClickHouse/clickhouse-go/v2/lib/driver"

	"github.com/kongdao/kongdao/alerting/rule"
	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// What one question of a log rule may take, whoever it is asked as. The time is
// ended from here as well.
var logRuleLimits = map[string]any{
	"max_execution_time": 10,
	"max_rows_to_read":   500_000_000,
	"max_memory_usage":   500_000_000,
}

// logRows are rows that a log rule may answer at most; more are an error.
const logRows = 1000

// logQuery answers log rules as a user of ClickHouse that may only read: the reader
// that is named, or on the embedded engine the one that whoever is on this machine
// asks as. Without either it is nil: the application's own user may write.
func (s *System) logQuery() rule.LogQuery {
	var o clickhouse.Options
	i := slices.IndexFunc(s.asking, func(r schema.Reader) bool { return r.Name == s.cfg.Alerting.LogReader })
	switch {
	case i >= 0:
		o = schema.ReaderOptions(s.chOptions, s.asking[i])
	case s.engine != nil:
		o = s.engine.AnalystOptions()
	default:
		return nil
	}
	o.Settings = maps.Clone(logRuleLimits)
	return func(ctx context.Context, sql string) (rows []rule.LogRow, err error) {
		_, err = clickhouse.Ask(ctx, o, sql, nil, func(r driver.Rows) error {
			rows, err = readLogRows(r)
			return err
		})
		if err != nil {
			return nil, answerOf(err)
		}
		return rows, nil
	}
}

// readLogRows reads rows whose column value is a number and whose other columns are
// labels.
func readLogRows(r driver.Rows) (all []rule.LogRow, err error) {
	names, types := r.Columns(), r.ColumnTypes()
	into, value := make([]any, len(types)), slices.Index(names, "value")
	if value < 0 {
		return nil, errors.New("the answer has no column value")
	}
	for i, t := range types {
		into[i] = reflect.New(t.ScanType()).Interface()
	}
	for r.Next() {
		if len(all) == logRows {
			return nil, fmt.Errorf("the answer has more than %d rows, and each would be an alert: group by fewer columns, or add HAVING", logRows)
		}
		if err := r.Scan(into...); err != nil {
			return nil, fmt.Errorf("read row: %w", err)
		}
		row, err := logRow(names, into, value)
		if err != nil {
			return nil, err
		}
		all = append(all, row)
	}
	return all, r.Err()
}

func logRow(names []string, into []any, value int) (row rule.LogRow, err error) {
	row = rule.LogRow{Labels: make(map[string]string, len(names)-1), Value: math.NaN()}
	for i, name := range names {
		v := reflect.Indirect(reflect.ValueOf(into[i]))
		if v.Kind() == reflect.Pointer { // Nullable
			if v.IsNil() {
				continue // no value, or no label
			}
			v = v.Elem()
		}
		if i != value {
			row.Labels[name] = fmt.Sprint(v.Interface())
			continue
		}
		if row.Value, err = float(v); err != nil {
			return row, err
		}
	}
	return row, nil
}

func float(v reflect.Value) (float64, error) {
	switch {
	case v.CanFloat():
		return v.Float(), nil
	case v.CanInt():
		return float64(v.Int()), nil
	case v.CanUint():
		return float64(v.Uint()), nil
	}
	return 0, fmt.Errorf("the column value is a %s, want a number", v.Type())
}

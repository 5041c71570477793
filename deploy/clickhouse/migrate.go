package schema

import (
	"context"
	"database/sql"
	"errors"
	"fmt"

	"github.com/pressly/goose/v3"

	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// Result says what Migrate found and did.
type Result struct {
	Before int64    // version of the schema at the start, 0 for an empty database
	After  int64    // version now
	Added  []string // columns of calls that were added
}

// Migrate brings the database of o to the newest schema. It may run at every
// start; two at a time do no harm. An error leaves what was done so far, and
// another Migrate continues there.
func Migrate(ctx context.Context, o clickhouse.Options) (r Result, err error) {
	db := clickhouse.OpenDB(o)
	defer func() { err = errors.Join(err, db.Close()) }()
	p, err := provider(db)
	if err != nil {
		return r, fmt.Errorf("read migrations: %w", err)
	}
	if r.Before, err = p.GetDBVersion(ctx); err != nil {
		return r, fmt.Errorf("read schema version of %s: %w", o, err)
	}
	if _, err := p.Up(ctx); err != nil {
		return r, fmt.Errorf("migrate %s: %w", o, err)
	}
	if r.After, err = p.GetDBVersion(ctx); err != nil {
		return r, fmt.Errorf("read schema version of %s: %w", o, err)
	}
	r.Added, err = addColumns(ctx, db)
	return r, err
}

// Latest is the version that Migrate leads to.
func Latest() (int64, error) {
	db := clickhouse.OpenDB(clickhouse.Options{Addr: []string{"127.0.0.1:0"}}) // never connects
	defer db.Close()
	p, err := provider(db)
	if err != nil {
		return 0, err
	}
	sources := p.ListSources()
	return sources[len(sources)-1].Version, nil
}

func provider(db *sql.DB) (*goose.Provider, error) {
	return goose.NewProvider(goose.DialectClickHouse, db, rendered{},
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
}

// addColumns adds to calls what package calllog has gained since the table was
// made. A column whose type differs is an error: rows would be read wrongly.
func addColumns(ctx context.Context, db *sql.DB) (added []string, err error) {
	types, err := columnTypes(ctx, db)
	if err != nil {
		return nil, fmt.Errorf("read columns of calls: %w", err)
	}
	after := "FIRST"
	for _, c := range calllog.Columns() {
		switch types[c.Name] {
		case c.Type:
		case "":
			statement := fmt.Sprintf("ALTER TABLE calls ADD COLUMN IF NOT EXISTS %s %s %s %s", c.Name, c.Type, c.Rest, after)
			if _, err := db.ExecContext(ctx, statement); err != nil {
				return added, fmt.Errorf("add column %s to calls: %w", c.Name, err)
			}
			added = append(added, c.Name)
		default:
			return added, fmt.Errorf("column %s of calls is %s, want %s: it needs a migration of its own", c.Name, types[c.Name], c.Type)
		}
		after = "AFTER " + c.Name
	}
	return added, nil
}

// columnTypes are the columns of calls as the server has them.
func columnTypes(ctx context.Context, db *sql.DB) (map[string]string, error) {
	rows, err := db.QueryContext(ctx,
		"SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = 'calls'")
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	types := map[string]string{}
	for rows.Next() {
		var name, kind string
		if err := rows.Scan(&name, &kind); err != nil {
			return nil, err
		}
		types[name] = kind
	}
	return types, rows.Err()
}

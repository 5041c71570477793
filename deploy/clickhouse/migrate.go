package schema

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
	"maps"
	"slices"

	"github.com/pressly/goose/v3"

	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// Result says what Migrate found and did.
type Result struct {
	Before int64    // version of the schema at the start, 0 for an empty database
	After  int64    // version now
	Added  []string // columns of calls that were added
	Kept   []string // statements that changed how long and where rows are kept
}

// Migrate brings the database of o to the newest schema. It may run at every
// start; two at a time do no harm. An error leaves what was done so far, and
// another Migrate continues there.
func Migrate(ctx context.Context, o clickhouse.Options) (Result, error) {
	return MigrateAs(ctx, o, DefaultConfig())
}

// MigrateAs is Migrate with a configuration: on a cluster, with times to keep rows.
func MigrateAs(ctx context.Context, o clickhouse.Options, c Config) (r Result, err error) {
	if err := c.Validate(); err != nil {
		return r, err
	}
	db := clickhouse.OpenDB(o)
	defer func() { err = errors.Join(err, db.Close()) }()
	p, err := provider(db, c.Cluster)
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
	if r.Added, err = addColumns(ctx, db, c.Cluster); err != nil {
		return r, err
	}
	r.Kept, err = c.reconcile(ctx, db)
	return r, err
}

// Latest is the version that Migrate leads to.
func Latest() (int64, error) {
	db := clickhouse.OpenDB(clickhouse.Options{Addr: []string{"127.0.0.1:0"}}) // never connects
	defer db.Close()
	p, err := provider(db, "")
	if err != nil {
		return 0, err
	}
	sources := p.ListSources()
	return sources[len(sources)-1].Version, nil
}

func provider(db *sql.DB, cluster string) (*goose.Provider, error) {
	return goose.NewProvider(goose.DialectClickHouse, db, rendered{cluster},
		goose.WithDisableGlobalRegistry(true), goose.WithLogger(goose.NopLogger()))
}

// addColumns adds to calls what package calllog has gained since the table was
// made. A column whose type differs is an error: rows would be read wrongly.
func addColumns(ctx context.Context, db *sql.DB, cluster string) (added []string, err error) {
	table := local("calls", cluster)
	types, err := columnTypes(ctx, db, table)
	if err != nil {
		return nil, fmt.Errorf("read columns of calls: %w", err)
	}
	after := "FIRST"
	for _, c := range calllog.Columns() {
		switch types[c.Name] {
		case c.Type:
		case "":
			if err := addColumn(ctx, db, cluster, c, after); err != nil {
				return added, fmt.Errorf("add column %s to calls: %w", c.Name, err)
			}
			added = append(added, c.Name)
		default:
			return added, fmt.Errorf("column %s of calls is %s, want %s: it needs a migration of its own", c.Name, types[c.Name], c.Type)
		}
		after = "AFTER " + c.Name
	}
	if cluster == "" {
		return added, nil
	}
	return added, awaitColumns(ctx, db, cluster, table, slices.Sorted(maps.Keys(types)))
}

// addColumn adds a column: on a cluster first to the tables of the servers, so that
// the one over them never asks for what a server has not.
func addColumn(ctx context.Context, db *sql.DB, cluster string, c calllog.Column, after string) error {
	tables := []string{local("calls", cluster)}
	if cluster != "" {
		tables = append(tables, "calls")
	}
	for _, table := range tables {
		statement := fmt.Sprintf("ALTER TABLE %s%s ADD COLUMN IF NOT EXISTS %s %s %s %s", table, onCluster(cluster), c.Name, c.Type, c.Rest, after)
		if _, err := db.ExecContext(ctx, statement); err != nil {
			return err
		}
		if cluster != "" && table != "calls" {
			if err := awaitColumns(ctx, db, cluster, table, []string{c.Name}); err != nil {
				return err
			}
		}
	}
	return nil
}

// columnTypes are the columns of calls as the server has them.
func columnTypes(ctx context.Context, db *sql.DB, table string) (map[string]string, error) {
	rows, err := db.QueryContext(ctx,
		"SELECT name, type FROM system.columns WHERE database = currentDatabase() AND table = $1", table)
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

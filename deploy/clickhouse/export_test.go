package schema

import (
	"context"
	"io"
	"io/fs"
	"strings"

	"github.com/kongdao/kongdao/internal/clickhouse"
)

// Statements are those of all migrations, as they run on a cluster or, with an empty
// name, on one server.
func Statements(cluster string) (statements []string, err error) {
	names, err := fs.Glob(migrations, "migrations/*.sql")
	if err != nil {
		return nil, err
	}
	for _, n := range names {
		f, err := rendered{cluster}.Open(strings.TrimPrefix(n, "migrations/"))
		if err != nil {
			return nil, err
		}
		text, err := io.ReadAll(f)
		if err != nil {
			return nil, err
		}
		for _, s := range statementEnd.Split(string(text), -1) {
			if s = strings.TrimSpace(comments.ReplaceAllString(s, "")); s != "" {
				statements = append(statements, s)
			}
		}
	}
	return statements, nil
}

// UpTo is Migrate to an older version.
func UpTo(ctx context.Context, o clickhouse.Options, version int64) error {
	db := clickhouse.OpenDB(o)
	defer db.Close()
	p, err := provider(db, "")
	if err != nil {
		return err
	}
	_, err = p.UpTo(ctx, version)
	return err
}

// Versions are those of all migrations.
func Versions() (versions []int64, err error) {
	db := clickhouse.OpenDB(clickhouse.Options{Addr: []string{"127.0.0.1:0"}})
	defer db.Close()
	p, err := provider(db, "")
	if err != nil {
		return nil, err
	}
	for _, s := range p.ListSources() {
		versions = append(versions, s.Version)
	}
	return versions, nil
}

// LackColumns is lackColumns.
func LackColumns(ctx context.Context, o clickhouse.Options, cluster, table string, columns []string) ([]string, error) {
	db := clickhouse.OpenDB(o)
	defer db.Close()
	return lackColumns(ctx, db, cluster, table, columns)
}

// ReaderSQL is what EnsureReaders runs for a reader.
func ReaderSQL(o clickhouse.Options, r Reader) []string {
	return append(userSQL(o, r), viewSQL(o, r)...)
}

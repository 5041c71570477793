package schema

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/internal/clickhouse"
)

// ErrAccess means that the user of the application may not manage users.
var ErrAccess = errors.New("may not create users and row policies")

// Codes of ClickHouse.
const (
	codeAccessDenied    = 497
	codeNoAccessStorage = 514 // users cannot be stored, as in the embedded engine
)

// EnsureReaders makes the readers' users, with SQL, and their views, and removes
// those of readers that are not there any more. It is for a server; o is the
// application's user, which needs ACCESS MANAGEMENT ([ErrAccess] when it has it
// not). With no readers it does what the rights allow. It may run at every start,
// after Migrate.
func EnsureReaders(ctx context.Context, o clickhouse.Options, readers []Reader) error {
	c, err := clickhouse.New(o)
	if err != nil {
		return err
	}
	err = removeReaders(ctx, c, o.Database, readers, true)
	if len(readers) == 0 && denied(err) {
		err = nil // there can be none to remove
	}
	for _, r := range readers {
		if err == nil {
			err = run(ctx, c, append(userSQL(o, r), viewSQL(o, r)...))
		}
	}
	if denied(err) {
		err = fmt.Errorf("user %s %w: GRANT ACCESS MANAGEMENT, CREATE DATABASE, CREATE VIEW, DROP DATABASE, DROP VIEW ON *.* TO %s WITH GRANT OPTION: %w",
			o.User, ErrAccess, o.User, err)
	}
	return errors.Join(err, c.Close())
}

// EnsureReaderViews is EnsureReaders for a ClickHouse that has the users from a
// file: it makes and removes databases and views only.
func EnsureReaderViews(ctx context.Context, o clickhouse.Options, readers []Reader) error {
	c, err := clickhouse.New(o)
	if err != nil {
		return err
	}
	err = removeReaders(ctx, c, o.Database, readers, false)
	for _, r := range readers {
		if err == nil {
			err = run(ctx, c, viewSQL(o, r))
		}
	}
	return errors.Join(err, c.Close())
}

func denied(err error) bool {
	code := clickhouse.Code(err)
	return code == codeAccessDenied || code == codeNoAccessStorage
}

func run(ctx context.Context, c *clickhouse.Client, statements []string) error {
	for _, s := range statements {
		if err := c.Exec(ctx, s); err != nil {
			first, _, _ := strings.Cut(s, " IDENTIFIED ") // what follows is about the password
			return fmt.Errorf("%s: %w", first, err)
		}
	}
	return nil
}

// viewSQL makes the database of a reader and its views. They are replaced, as the
// tables may have gained columns.
func viewSQL(o clickhouse.Options, r Reader) []string {
	from := orDefault(o.Database)
	db, definer := ReaderUser(from, r.Name), ReaderDefiner(from, r.Name)
	statements := []string{"CREATE DATABASE IF NOT EXISTS " + name(db)}
	for _, table := range ReaderTables() {
		statements = append(statements, fmt.Sprintf("CREATE OR REPLACE VIEW %s DEFINER = %s SQL SECURITY DEFINER AS SELECT * FROM %s",
			name(db, table), name(definer), name(from, table)))
	}
	return statements
}

// userSQL makes the users of a reader. Row policies come before the right to read:
// at no moment are there rows without one. The restrictive policy holds although
// others may have made a permissive one for everybody; the permissive one is there
// because a server may show no rows without.
func userSQL(o clickhouse.Options, r Reader) []string {
	from := orDefault(o.Database)
	user, definer := ReaderUser(from, r.Name), ReaderDefiner(from, r.Name)
	profile := name(readerPrefix(from) + "profile")
	s := []string{
		"CREATE SETTINGS PROFILE IF NOT EXISTS " + profile,
		"ALTER SETTINGS PROFILE " + profile + " SETTINGS " + settingsSQL(),
		"CREATE USER IF NOT EXISTS " + name(definer) + " HOST NONE SETTINGS PROFILE " + profile,
	}
	for _, table := range ReaderTables() {
		for _, kind := range []string{"permissive", "restrictive"} {
			policy := name(definer+"_"+kind) + " ON " + name(from, table)
			s = append(
				s, "CREATE ROW POLICY IF NOT EXISTS "+policy+" USING 0 AS "+kind+" TO "+name(definer),
				"ALTER ROW POLICY "+policy+" FOR SELECT USING "+r.Filter()+" AS "+kind+" TO "+name(definer),
			)
		}
		// The application's own user goes on seeing everything.
		own := name(readerPrefix(from)+"application") + " ON " + name(from, table)
		s = append(
			s, "CREATE ROW POLICY IF NOT EXISTS "+own+" FOR SELECT USING 1 AS permissive TO "+name(userOf(o)),
			"GRANT SELECT ON "+name(from, table)+" TO "+name(definer),
		)
	}
	password := "IDENTIFIED WITH sha256_hash BY '" + r.TokenHash() + "'"
	return append(
		s, "CREATE USER IF NOT EXISTS "+name(user)+" "+password,
		"ALTER USER "+name(user)+" "+password+" SETTINGS PROFILE "+profile+" DEFAULT DATABASE "+name(user),
		"GRANT SELECT ON "+name(user)+".* TO "+name(user),
		"CREATE QUOTA IF NOT EXISTS "+name(user),
		fmt.Sprintf("ALTER QUOTA %s FOR INTERVAL %d SECOND MAX queries = %d, execution_time = %d TO %s",
			name(user), readerQuotaInterval, ReaderQueries, ReaderQuerySeconds, name(user)),
	)
}

func userOf(o clickhouse.Options) string {
	if o.User == "" {
		return "default"
	}
	return o.User
}

// settingsSQL are the limits as in ALTER SETTINGS PROFILE.
func settingsSQL() string {
	var parts []string
	for _, l := range ReaderLimits(ReaderMemory) {
		s := l.Name + " = " + l.Value
		if l.Max != "" {
			s += " MIN " + l.Min + " MAX " + l.Max + " CHANGEABLE_IN_READONLY"
		}
		parts = append(parts, s)
	}
	return strings.Join(parts, ", ")
}

// TokenHash is what a server stores of the token: its SHA-256 in hex.
func (r Reader) TokenHash() string {
	sum := sha256.Sum256([]byte(r.Token.Reveal()))
	return hex.EncodeToString(sum[:])
}

// removeReaders drops what was made for readers that are not among keep: somebody
// whose line was deleted shall not go on reading.
func removeReaders(ctx context.Context, c *clickhouse.Client, database string, keep []Reader, users bool) error {
	prefix := readerPrefix(database)
	kept := func(user string) bool {
		return slices.ContainsFunc(keep, func(r Reader) bool {
			return user == ReaderUser(database, r.Name) || user == ReaderDefiner(database, r.Name)
		})
	}
	kinds := []struct{ drop, list string }{
		{"DROP USER IF EXISTS ", "SELECT name FROM system.users WHERE startsWith(name, $1)"},
		{"DROP QUOTA IF EXISTS ", "SELECT name FROM system.quotas WHERE startsWith(name, $1)"},
		{"DROP DATABASE IF EXISTS ", "SELECT name FROM system.databases WHERE startsWith(name, $1)"},
	}
	if !users {
		kinds = kinds[2:]
	}
	for _, kind := range kinds {
		var names []struct {
			Name string `ch:"name"`
		}
		if err := c.Select(ctx, &names, kind.list, prefix); err != nil {
			return fmt.Errorf("list readers: %w", err)
		}
		for _, n := range names {
			if kept(n.Name) {
				continue
			}
			if err := run(ctx, c, []string{kind.drop + name(n.Name)}); err != nil {
				return err
			}
		}
	}
	return nil
}

func orDefault(database string) string {
	if database == "" {
		return "default"
	}
	return database
}

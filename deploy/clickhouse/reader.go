package schema

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/clickhouse"
	"github.com/kongdao/kongdao/internal/fnlog"
)

// AllTenants in place of a tenant's name means every tenant.
const AllTenants = "*"

// Reader is somebody who asks with SQL of their own: a ClickHouse user who reads
// the call tables of some tenants and can do nothing else.
//
// ClickHouse itself keeps the tenants apart. The user has a database of its own,
// which holds one view for each of [ReaderTables]; the views run as a second user
// that nobody can be, and that one has a row policy on each table. So the filter
// comes before anything that the reader's query computes, and functions that look
// past rows into the files of a table (mergeTreeIndex) have no table to look into.
type Reader struct {
	Name    string     // see ValidReader; part of the user's name
	Tenants []string   // whose rows; AllTenants: everybody's; none: nothing
	Token   api.Secret // the user's password, in clear text
}

// readerName: it becomes part of names in SQL and in XML.
var readerName = regexp.MustCompile(`^[a-z][a-z0-9_]{0,30}$`)

// ValidReaderName says whether a reader may be called that: lower case letters,
// digits and underscores, at most 31, not ending in _rows.
func ValidReaderName(name string) bool {
	return readerName.MatchString(name) && !strings.HasSuffix(name, definerSuffix)
}

// minToken is the least length of a token: shorter ones can be guessed.
const minToken = 16

// Validate names what is wrong.
func (r Reader) Validate() error {
	var errs []error
	if !ValidReaderName(r.Name) {
		errs = append(errs, fmt.Errorf("name: %q: want lower case letters, digits and underscores", r.Name))
	}
	if len(r.Tenants) == 0 {
		errs = append(errs, errors.New(`tenants: none: want names of tenants, or "*" for all`))
	}
	if len(r.Token) < minToken {
		errs = append(errs, fmt.Errorf("token: has %d characters, want at least %d", len(r.Token), minToken))
	}
	return errors.Join(errs...)
}

// Everything says whether r reads all tenants.
func (r Reader) Everything() bool { return slices.Contains(r.Tenants, AllTenants) }

// Filter is the condition that rows meet which r may read.
func (r Reader) Filter() string {
	switch {
	case r.Everything():
		return "1"
	case len(r.Tenants) == 0:
		return "0"
	}
	quoted := make([]string, len(r.Tenants))
	for i, t := range r.Tenants {
		quoted[i] = quote(t)
	}
	return "tenant IN (" + strings.Join(quoted, ", ") + ")"
}

// definerSuffix tells the user that the views run as.
const definerSuffix = "_rows"

// ReaderUser is the ClickHouse user of the reader called name, where database
// holds the call tables, and the database that holds the reader's views.
func ReaderUser(database, name string) string { return readerPrefix(database) + name }

// ReaderDefiner is the user that the views of a reader run as. Nobody logs in as it.
func ReaderDefiner(database, name string) string {
	return ReaderUser(database, name) + definerSuffix
}

func readerPrefix(database string) string {
	if database == "" {
		database = "default"
	}
	return database + "_reader_"
}

// ReaderTables are the tables that readers see, by the same names in a database of
// their own. Each has a column tenant.
func ReaderTables() []string {
	names := []string{"calls"}
	for _, r := range Rollups() {
		names = append(names, r.Name)
	}
	return append(names, "call_ids", fnlog.Table)
}

// ReaderOptions are o for the reader r: the same server, r's user and database.
// Queries name tables without their database. A context's deadline becomes the
// setting max_execution_time, which a reader may set up to [ReaderSeconds]; keep
// deadlines five seconds below that.
func ReaderOptions(o clickhouse.Options, r Reader) clickhouse.Options {
	user := ReaderUser(o.Database, r.Name)
	o.User, o.Database, o.Password = user, user, r.Token
	o.Settings = nil // a reader may set none
	return o
}

// ReadOnly are o for queries that must not change anything, by the same user. It
// is a belt for statements of our own, not a fence: see [Reader] for that.
func ReadOnly(o clickhouse.Options) clickhouse.Options {
	settings := map[string]any{"readonly": 2}
	for k, v := range o.Settings {
		settings[k] = v
	}
	o.Settings = settings
	return o
}

// quote is text as a string in SQL.
func quote(text string) string {
	return "'" + strings.NewReplacer(`\`, `\\`, `'`, `\'`).Replace(text) + "'"
}

// name is an identifier in SQL.
func name(parts ...string) string {
	for i, p := range parts {
		parts[i] = "`" + strings.NewReplacer(`\`, `\\`, "`", "\\`").Replace(p) + "`"
	}
	return strings.Join(parts, ".")
}

package schema

import (
	"bytes"
	"embed"
	"fmt"
	"io/fs"
	"path"
	"text/template"

	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/fnlog"
)

//go:embed migrations/*.sql
var migrations embed.FS

// Rollup is a table that sums calls up over intervals of one length.
type Rollup struct {
	Name      string // of the table
	Step      string // length of an interval, as in SQL
	Partition string // expression
	Keep      string // how long intervals are kept, as in SQL
}

// Rollups are all of them, finest first. Partitions are as coarse as the time kept
// allows, and never so fine that a late block touches too many.
func Rollups() []Rollup {
	return []Rollup{
		{"calls_10s", "10 SECOND", "toDate(t)", "7 DAY"},
		{"calls_1m", "1 MINUTE", "toYYYYMM(t)", "3 MONTH"},
		{"calls_1h", "1 HOUR", "toYYYYMM(t)", "13 MONTH"},
	}
}

// Tables are the names of all tables of this package.
func Tables() []string {
	names := []string{"calls"}
	for _, r := range Rollups() {
		names = append(names, r.Name)
	}
	return append(names, "call_ids", "load_runs", "stored_blocks", fnlog.Table)
}

// rendered is migrations with the templates filled in.
type rendered struct{ cluster string }

func (r rendered) Open(name string) (fs.File, error) {
	f, err := migrations.Open(path.Join("migrations", name))
	if err != nil || path.Ext(name) != ".sql" {
		return f, err
	}
	defer f.Close()
	t, err := template.ParseFS(migrations, path.Join("migrations", name))
	if err != nil {
		return nil, fmt.Errorf("parse %s: %w", name, err)
	}
	var sql bytes.Buffer
	data := struct {
		Columns      string
		FunctionLogs string
		Rollups      []Rollup
	}{calllog.DDL(), fnlog.DDL(), Rollups()}
	if err := t.Execute(&sql, data); err != nil {
		return nil, fmt.Errorf("fill in %s: %w", name, err)
	}
	text := sql.String()
	if r.cluster != "" {
		if text, err = clustered(text, r.cluster); err != nil {
			return nil, fmt.Errorf("%s: %w", name, err)
		}
	}
	info, err := f.Stat()
	if err != nil {
		return nil, err
	}
	return file{Reader: bytes.NewReader([]byte(text)), info: info}, nil
}

// file is a rendered migration; its Stat still has the size of the template.
type file struct {
	*bytes.Reader
	info fs.FileInfo
}

func (f file) Stat() (fs.FileInfo, error) { return f.info, nil }
func (f file) Close() error               { return nil }

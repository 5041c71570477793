package ship

import (
	"errors"
	"fmt"

	"github.com/kongdao/kongdao/internal/calllog"
)

// Table says where the blocks of one log go, and what they are.
type Table struct {
	Name    string   // of the table; the label table of metrics
	Columns []string // those of a block, in its order
	// Revision of the native protocol that blocks are encoded for. A block of a log
	// is the native block of that revision, block info included, in LZ4 frames.
	Revision int
}

// Calls is the table calls.
func Calls() Table {
	t := Table{Name: "calls", Revision: calllog.Revision}
	for _, c := range calllog.Columns() {
		t.Columns = append(t.Columns, c.Name)
	}
	return t
}

func (t Table) validate() error {
	var errs []error
	if t.Name == "" {
		errs = append(errs, errors.New("table: name is missing"))
	}
	if len(t.Columns) == 0 {
		errs = append(errs, errors.New("table: columns are missing"))
	}
	if t.Revision <= 0 {
		errs = append(errs, fmt.Errorf("table: revision is %d", t.Revision))
	}
	return errors.Join(errs...)
}

package collector

import (
	"iter"
	"sync/atomic"

	"github.com/kongdao/kongdao/collector/policy"
	"github.com/kongdao/kongdao/collector/tally"
	"github.com/kongdao/kongdao/internal/calllog"
)

// batch is what is written at once: a block of the calls that are stored, and the
// count of all that were taken, also of those that sampling left out.
type batch struct {
	*calllog.Block
	all *tally.Tally
}

func newBatch() *batch { return &batch{calllog.NewBlock(), tally.New()} }

// maxTaken bounds the calls of a batch, most of which sampling may leave out: 8
// bytes each.
const maxTaken = 1 << 18

// Reset empties the batch.
func (b *batch) Reset() {
	b.Block.Reset()
	b.all.Reset()
}

// admission decides of each call whether and how it is stored. Its methods are
// for one goroutine at a time, but for left.
type admission struct {
	sampler  *policy.Sampler
	redactor *policy.Redactor
	left     atomic.Int64 // calls that sampling left out

	to  *batch                     // of the fill that is under way
	one func(*calllog.Record) bool // takes one call: made once, as a message has few
}

func newAdmission(cfg Config) (*admission, error) {
	sampler, err := policy.NewSampler(cfg.Tenants)
	if err != nil {
		return nil, err
	}
	redactor, err := policy.NewRedactor(cfg.Redact)
	if err != nil {
		return nil, err
	}
	a := &admission{sampler: sampler, redactor: redactor}
	a.one = a.take
	return a, nil
}

// fill takes calls into a batch.
func (a *admission) fill(b *batch, calls iter.Seq[*calllog.Record]) {
	a.to = b
	calls(a.one)
}

// take counts a call before it is sampled, and samples it before it is redacted,
// which may take ids away.
func (a *admission) take(r *calllog.Record) bool {
	a.to.all.Add(r)
	if !a.sampler.Keep(r) {
		a.left.Add(1)
		return true
	}
	a.redactor.Record(r)
	a.to.Append(r)
	return true
}

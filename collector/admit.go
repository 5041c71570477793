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
	return &admission{sampler: sampler, redactor: redactor}, nil
}

// fill takes calls into a batch. They are counted before they are sampled, and
// sampled before they are redacted, which may take ids away.
func (a *admission) fill(b *batch, calls iter.Seq[*calllog.Record]) {
	left := int64(0)
	for r := range calls {
		b.all.Add(r)
		if !a.sampler.Keep(r) {
			left++
			continue
		}
		a.redactor.Record(r)
		b.Append(r)
	}
	a.left.Add(left)
}

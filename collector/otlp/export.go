package otlp

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/collector/pdata/plog/plogotlp"

	"github.com/kongdao/kongdao/collector/policy"
)

// answer is what a client is told: a response, or an error that is one of
// errMessage, errTooMany, errBusy, errStopping or of the log.
type answer struct {
	refused int // records
	err     error
}

// export takes one request over: a message in OTLP's protobuf, which has a place
// from acquire. It gives the place back when it does not need the message any more,
// and returns once the records are on disk.
func (r *Receiver) export(ctx context.Context, protocol string, message []byte) answer {
	r.metrics.bytes.Add(float64(len(message)))
	b, err := r.newBatch()
	if err != nil {
		r.release()
		return answer{err: err} // the configuration was checked
	}
	b.begin(r.cfg.Limits, time.Now())
	err = b.decode(message)
	records, refused, changed := len(b.records), b.refused, b.counts
	taken := func() {
		b.reset()
		r.batches.Put(b)
		r.release()
	}
	repeated := false
	if err == nil && records > 0 {
		begin := time.Now()
		if repeated, err = r.writer.put(ctx, b, identify(message), taken); err == nil && !repeated {
			r.metrics.durable.Observe(time.Since(begin).Seconds())
		}
	} else {
		taken()
	}
	o := outcomeOf(err, repeated)
	r.metrics.requests[protocol][o].Inc()
	if o == outcomeStored {
		r.metrics.stored(records, refused, changed)
	}
	return answer{refused: refused, err: err}
}

// newBatch is a batch from the pool, or a new one.
func (r *Receiver) newBatch() (*batch, error) {
	if b, ok := r.batches.Get().(*batch); ok {
		return b, nil
	}
	redactor, err := policy.NewRedactor(r.cfg.Redact)
	if err != nil {
		return nil, err
	}
	return &batch{redactor: redactor}, nil
}

func outcomeOf(err error, repeated bool) outcome {
	switch {
	case err == nil && repeated:
		return outcomeRepeated
	case err == nil:
		return outcomeStored
	case errors.Is(err, errMessage), errors.Is(err, errTooMany):
		return outcomeMalformed
	case errors.Is(err, errBusy), errors.Is(err, errStopping):
		return outcomeBusy
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return outcomeCanceled
	}
	return outcomeFailed
}

// response is the OTLP message for an answer without an error.
func (a answer) response() plogotlp.ExportResponse {
	res := plogotlp.NewExportResponse()
	if a.refused > 0 {
		res.PartialSuccess().SetRejectedLogRecords(int64(a.refused))
		res.PartialSuccess().SetErrorMessage(fmt.Sprintf(
			"%d log records name no function: set the resource attribute service.name, or kongdao.function", a.refused))
	}
	return res
}

// acquire takes a place for one request, whose body has not been read. It waits for
// one as long as requests wait for room.
func (r *Receiver) acquire(ctx context.Context) bool {
	select {
	case r.slots <- struct{}{}:
		return true
	default:
	}
	patience := time.NewTimer(r.cfg.Patience.Std())
	defer patience.Stop()
	select {
	case r.slots <- struct{}{}:
		return true
	case <-patience.C:
	case <-ctx.Done():
	}
	return false
}

func (r *Receiver) release() { <-r.slots }

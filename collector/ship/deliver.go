package ship

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"time"

	"github.com/ClickHouse/ch-go/proto"

	"github.com/kongdao/kongdao/collector/wal"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

const (
	// longTried is how long after the first try tables may have forgotten a token.
	longTried = 5 * time.Minute

	// maxPieces bounds how many pieces of one block are sent in search of bad rows.
	maxPieces = 128
)

// delivery is one record on its way. It has one goroutine.
type delivery struct {
	left   []wal.Record // pieces of the record that are not settled, the next one last
	pieces int          // made so far
	begun  time.Time    // when the first try began

	replay     bool     // of a dead letter, whose rows are counted as dead already
	dead       []string // tokens of pieces that were refused
	deadRows   int
	lastReason error
}

// settle brings all that is left of the record where it belongs. After an error
// it may be called again, and goes on where it was.
func (s *Shipper) settle(ctx context.Context, d *delivery) error {
	for len(d.left) > 0 {
		err := s.step(ctx, d)
		if permanent(err) {
			err = s.refused(ctx, d, err)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// step tries to store the next piece.
func (s *Shipper) step(ctx context.Context, d *delivery) error {
	at := len(d.left) - 1
	if s.table.Missing != nil && (d.left[at].Again || time.Since(d.begun) > s.longTried) {
		send, err := s.check(ctx, d)
		if err != nil || !send {
			return err
		}
	}
	if err := s.insert(ctx, d.left[at]); err != nil {
		return err
	}
	s.noteStored(d.left[at].Rows)
	d.left = d.left[:at]
	return nil
}

// check finds out what of the next piece has to be sent. It leaves that as the next
// piece and returns true, or returns false.
func (s *Shipper) check(ctx context.Context, d *delivery) (send bool, err error) {
	at := len(d.left) - 1
	next := &d.left[at]
	found, rest, err := s.judge(ctx, *next)
	if err != nil {
		return false, err
	}
	s.metrics.checked.WithLabelValues(string(found)).Inc()
	switch found {
	case findingStored:
		s.noteStored(next.Rows)
		d.left = d.left[:at]
		return false, nil
	case findingSplit:
		return false, s.split(d)
	case findingPart:
		s.log.Warn("an insert was cut off long ago; the rows that are missing are stored, rollups may lack those that were not",
			slog.String("token", next.Token), slog.Int("rows", next.Rows), slog.Int("missing", rest.Rows))
		s.noteStored(next.Rows - rest.Rows)
		if rest.Rows == 0 {
			d.left = d.left[:at]
			return false, nil
		}
		next.Token, next.Block, next.Rows = next.Token+restSuffix, rest.Block, rest.Rows
	}
	next.Again = false
	return true, nil
}

// refused splits the next piece, or sets it aside.
func (s *Shipper) refused(ctx context.Context, d *delivery, cause error) error {
	at := len(d.left) - 1
	next := d.left[at]
	if s.table.Split != nil && s.table.Missing != nil && next.Rows > 1 && d.pieces < maxPieces && aboutRows(cause) {
		missing, err := s.table.Missing(ctx, s.ledger.client, next.Block)
		if err != nil && !permanent(err) {
			return err
		}
		// A rollup may have refused what the table took. The halves would have new
		// tokens, so the table would take it once more.
		if err == nil && missing.Rows == next.Rows {
			return s.split(d)
		}
		cause = fmt.Errorf("%w (%d of %d rows are in the table)", cause, next.Rows-missing.Rows, next.Rows)
	}
	if err := s.dead.put(s.table.Name, next, cause); err != nil {
		return err
	}
	d.left = d.left[:at]
	d.dead, d.deadRows, d.lastReason = append(d.dead, next.Token), d.deadRows+next.Rows, cause
	if !d.replay {
		s.noteDead(next, cause)
	}
	return nil
}

// split replaces the next piece by its halves. Their tokens follow from its own.
func (s *Shipper) split(d *delivery) error {
	at := len(d.left) - 1
	whole := d.left[at]
	a, b, err := s.table.Split(whole.Block)
	if err != nil {
		return fmt.Errorf("%w: split: %w", errBlock, err)
	}
	first, second := whole, whole
	first.Token, first.Block, first.Rows = whole.Token+"/a", a.Block, a.Rows
	second.Token, second.Block, second.Rows = whole.Token+"/b", b.Block, b.Rows
	d.left = append(d.left[:at], second, first)
	d.pieces += 2
	return nil
}

func (s *Shipper) noteDead(rec wal.Record, cause error) {
	s.refusedRows.Add(int64(rec.Rows))
	s.metrics.deadBlocks.Inc()
	s.metrics.deadRows.Add(float64(rec.Rows))
	s.log.Error("clickhouse refused a block for good; it is in the dead-letter folder",
		slog.String("token", rec.Token), slog.Int("rows", rec.Rows), slog.String("dir", s.cfg.DeadLetterDir), slog.Any("error", cause))
}

// permanent reports that the same block would be refused for the same reason for
// ever. Everything else is worth another try: what the server lacks, such as
// memory, rights or the table, can be given to it.
func permanent(err error) bool {
	return errors.Is(err, errBlock) || aboutRows(err) || slices.Contains([]proto.Error{
		proto.ErrIncorrectNumberOfColumns,
		proto.ErrThereIsNoColumn,
		proto.ErrNotFoundColumnInBlock,
		proto.ErrNoSuchColumnInTable,
		proto.ErrNumberOfColumnsDoesntMatch,
		proto.ErrIllegalTypeOfArgument,
		proto.ErrIllegalColumn,
		proto.ErrUnknownIdentifier,
		proto.ErrUnknownType,
		proto.ErrTypeMismatch,
	}, proto.Error(clickhouse.Code(err)))
}

// aboutRows reports that the block was refused for a value in it: without that row
// it might not be.
func aboutRows(err error) bool {
	return slices.Contains([]proto.Error{
		proto.ErrCannotParseText,
		proto.ErrArgumentOutOfBound,
		proto.ErrCannotConvertType,
		proto.ErrIncorrectData,
		proto.ErrTooLargeStringSize,
		proto.ErrCannotInsertNullInOrdinaryColumn,
		proto.ErrViolatedConstraint,
	}, proto.Error(clickhouse.Code(err)))
}

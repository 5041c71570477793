package ship

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/ClickHouse/ch-go/proto"
	ch "github.com/ClickHouse/clickhouse-go/v2"

	"github.com/kongdao/kongdao/collector/wal"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// errBlock marks a block that does not fit the table or cannot be read: another
// try does not help.
var errBlock = errors.New("block does not fit")

// insert sends the record as one block, with its token.
func (s *Shipper) insert(ctx context.Context, rec wal.Record) error {
	if rec.Revision != calllog.Revision {
		return fmt.Errorf("%w: written for protocol revision %d, this program reads %d", errBlock, rec.Revision, calllog.Revision)
	}
	block, err := calllog.DecodeBlock(rec.Block)
	if err != nil {
		return fmt.Errorf("%w: %w", errBlock, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.InsertTimeout.Std())
	defer cancel()
	start := time.Now()
	batch, err := s.client.PrepareBatch(ch.Context(ctx, ch.WithSettings(settings(rec.Token))), statement())
	if err != nil {
		return fmt.Errorf("prepare insert: %w", err)
	}
	if err := block.AppendTo(batch); err != nil {
		_ = batch.Abort() // the reason is err
		return fmt.Errorf("%w: %w", errBlock, err)
	}
	if err := batch.Send(); err != nil {
		return fmt.Errorf("insert: %w", err)
	}
	s.metrics.insert.Observe(time.Since(start).Seconds())
	return nil
}

func statement() string {
	var names []string
	for _, c := range calllog.Columns() {
		names = append(names, c.Name)
	}
	return "INSERT INTO calls (" + strings.Join(names, ", ") + ")"
}

// settings make the insert synchronous and repeatable. Without the second line a
// repeated block would be left out of calls and still be added to the rollups.
func settings(token string) ch.Settings {
	return ch.Settings{
		"insert_deduplication_token":                         token,
		"deduplicate_blocks_in_dependent_materialized_views": 1,
		"async_insert": 0,
		// A block may hold the backlog of many days; the default of 100 would refuse
		// it again and again.
		"max_partitions_per_insert_block": 0,
	}
}

// permanent reports that the same block would be refused for the same reason for
// ever. Everything else is worth another try: what the server lacks, such as
// memory, rights or the table, can be given to it.
func permanent(err error) bool {
	if errors.Is(err, errBlock) {
		return true
	}
	return slices.Contains([]proto.Error{
		proto.ErrCannotParseText,
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
		proto.ErrArgumentOutOfBound,
		proto.ErrCannotConvertType,
		proto.ErrIncorrectData,
		proto.ErrTooLargeStringSize,
		proto.ErrCannotInsertNullInOrdinaryColumn,
		proto.ErrViolatedConstraint,
	}, proto.Error(clickhouse.Code(err)))
}

package ship

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"time"

	"github.com/kongdao/kongdao/collector/wal"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

// errBlock marks a block that does not fit the table or cannot be read: another
// try does not help.
var errBlock = errors.New("block does not fit")

// insert sends the record as one block, with its token. The bytes go as they are
// in the log, whose checksum has vouched for them.
func (s *Shipper) insert(ctx context.Context, rec wal.Record) error {
	if rec.Revision != s.table.Revision {
		return fmt.Errorf("%w: written for protocol revision %d, this program sends %d", errBlock, rec.Revision, s.table.Revision)
	}
	if err := checkFrames(rec.Block); err != nil {
		return fmt.Errorf("%w: %w", errBlock, err)
	}
	ctx, cancel := context.WithTimeout(ctx, s.cfg.InsertTimeout.Std())
	defer cancel()
	start := time.Now()
	err := s.inserter.Insert(ctx, clickhouse.Insert{
		Table: s.table.Name, Columns: s.table.Columns, Settings: settings(rec.Token), Block: rec.Block, ID: queryID(s.table.Name, rec.Token),
	})
	if err != nil {
		return err
	}
	s.metrics.insert.Observe(time.Since(start).Seconds())
	return nil
}

// queryID is the same for each try of a block, so that a try waits for the end of
// the one before, which a server goes on with after its client has died: two
// inserts of one token at the same time can end up twice in a rollup.
func queryID(table, token string) string { return "kongdao/" + table + "/" + token }

// checkFrames says what a server that reads the frames would wait for in vain, or
// read beyond. It does not decompress them.
func checkFrames(data []byte) error {
	const sum, head = 16, 9 // checksum; method, compressed size with this head, size
	for at := 0; at < len(data); {
		rest := data[at:]
		if len(rest) < sum+head {
			return fmt.Errorf("frame of %d bytes at %d", len(rest), at)
		}
		size := uint64(binary.LittleEndian.Uint32(rest[sum+1:]))
		if size < head || sum+size > uint64(len(rest)) {
			return fmt.Errorf("frame of %d bytes at %d, %d are left", size, at, len(rest)-sum)
		}
		at += sum + int(size)
	}
	if len(data) == 0 {
		return errors.New("no bytes")
	}
	return nil
}

// settings make the insert synchronous and repeatable. Without the second line a
// repeated block would be left out of calls and still be added to the rollups.
func settings(token string) map[string]any {
	return map[string]any{
		"insert_deduplication_token":                         token,
		"deduplicate_blocks_in_dependent_materialized_views": 1,
		"async_insert": 0,
		// A block may hold the backlog of many days; the default of 100 would refuse
		// it again and again.
		"max_partitions_per_insert_block": 0,
	}
}

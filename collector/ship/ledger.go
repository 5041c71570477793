package ship

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/kongdao/kongdao/collector/wal"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

const (
	// ledgerTable has a row for each stored block, written by the block's own insert.
	ledgerTable = "stored_blocks"

	// Tables forget tokens after so many blocks, and replicated ones after an hour,
	// too. What is younger than these bounds is remembered for sure.
	rememberedShare = 2 // of the window, as its part
	rememberedFor   = 10 * time.Minute

	// maxStep is by how much a clock may have been set since a block was appended.
	maxStep = time.Minute

	// maxSkew is how far ahead of ClickHouse's clock those of gateways may be, which is
	// all there is for a block whose append time is not known.
	maxSkew = 10 * time.Minute
)

// finding is what became of a block that may have been sent before.
type finding string

const (
	// findingUnsure: the tables still know its token if they stored it, so sending
	// it again stores what is missing, in the rollups too, and nothing else.
	findingUnsure finding = "unsure"
	findingStored finding = "stored" // long ago, whole
	findingAbsent finding = "absent"
	findingPart   finding = "part"  // rows of it are there, the insert was cut off long ago; rollups may lack them
	findingSplit  finding = "split" // it was sent in pieces
)

// ledger finds out whether blocks were stored.
type ledger struct {
	client *clickhouse.Client
	table  string
}

// restSuffix makes the token of what was missing of a block.
const restSuffix = "/rest"

// entries are those of one block.
type entries struct {
	whole, rest, pieces uint64
	stored              time.Time // the first of them
	now                 time.Time // by ClickHouse's clock, as stored is
}

// errStillRuns is for a later try: a server lists an insert for a moment after it
// has answered it, and goes on with one whose client has died.
var errStillRuns = errors.New("an earlier insert of the block still runs")

// notRunning is an error while the server is still at an insert of the block.
func (l ledger) notRunning(ctx context.Context, token string) error {
	var n uint64
	err := l.client.QueryRow(ctx, "SELECT count() FROM system.processes WHERE query_id = $1", queryID(l.table, token)).Scan(&n)
	if err == nil && n > 0 {
		err = errStillRuns
	}
	return err
}

func (l ledger) find(ctx context.Context, token string) (e entries, err error) {
	err = l.client.QueryRow(ctx, "SELECT countIf(token = $2), countIf(token = $3), countIf(token NOT IN ($2, $3)), min(stored), now64(3) FROM "+ledgerTable+
		" WHERE table = $1 AND (token = $2 OR startsWith(token, concat($2, '/')))", l.table, token, token+restSuffix).
		Scan(&e.whole, &e.rest, &e.pieces, &e.stored, &e.now)
	if err != nil {
		return e, fmt.Errorf("ask the ledger: %w", err)
	}
	return e, nil
}

// since is when the block was sent first, or before, by ClickHouse's clock.
func (e entries) since(rec wal.Record) time.Time {
	switch {
	case e.whole > 0:
		return e.stored
	case rec.Appended.IsZero():
		return rec.MaxTime.Add(-maxSkew)
	}
	return e.now.Add(-max(0, time.Since(rec.Appended)) - maxStep)
}

// remembered reports that the table has not forgotten a token that came at since
// or later.
func (l ledger) remembered(ctx context.Context, since time.Time) (bool, error) {
	var parts, window uint64
	var now time.Time
	var replicated bool
	err := l.client.QueryRow(ctx, "WITH (SELECT engine_full FROM system.tables WHERE database = currentDatabase() AND name = $3) AS engine"+
		" SELECT sum(parts), now64(3), arrayMin(arrayMap(x -> toUInt64(x), extractAll(engine, 'deduplication_window = ([0-9]+)'))),"+
		" startsWith(engine, 'Replicated') FROM "+ledgerTable+" WHERE table = $1 AND stored >= $2", l.table, since, l.table+l.client.Options().LocalSuffix).
		Scan(&parts, &now, &window, &replicated)
	if err != nil {
		return false, fmt.Errorf("ask how many blocks are remembered: %w", err)
	}
	return parts < window/rememberedShare && (!replicated || now.Sub(since) < rememberedFor), nil
}

// judge finds out what became of rec. Its rest is what of it is not stored, for
// findingPart alone.
func (s *Shipper) judge(ctx context.Context, rec wal.Record) (f finding, rest Piece, err error) {
	ctx, cancel := context.WithTimeout(ctx, s.cfg.InsertTimeout.Std())
	defer cancel()
	if err := s.ledger.notRunning(ctx, rec.Token); err != nil {
		return "", rest, err
	}
	found, err := s.ledger.find(ctx, rec.Token)
	if err != nil {
		return "", rest, err
	}
	known, err := s.ledger.remembered(ctx, found.since(rec))
	switch {
	case err != nil:
		return "", rest, err
	case found.rest > 0:
		return findingStored, rest, nil
	case found.pieces > 0:
		return findingSplit, rest, nil
	case known:
		return findingUnsure, rest, nil
	case found.whole > 0:
		return findingStored, rest, nil
	}
	// Either it was never stored, or the server died before it wrote the ledger.
	rest, err = s.table.Missing(ctx, s.ledger.client, rec.Block)
	switch {
	case err != nil:
		return "", rest, err
	case rest.Rows == rec.Rows:
		return findingAbsent, rest, nil
	}
	return findingPart, rest, nil
}

package app

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/collector"
	"github.com/kongdao/kongdao/collector/otlp"
	"github.com/kongdao/kongdao/collector/ship"
	"github.com/kongdao/kongdao/internal/config"
)

// CollectorStatus says how far the call log is stored, and what is wrong.
type CollectorStatus struct {
	Running     bool             `json:"running"`
	State       *collector.Stats `json:"state,omitempty" doc:"of the running collector"`
	Logs        *otlp.Stats      `json:"logs,omitempty" doc:"of the running receiver of functions' own log records"`
	DeadLetters int              `json:"deadLetters" doc:"blocks that ClickHouse refused for good"`
	DeadRows    int              `json:"deadRows" doc:"rows in them"`
	Quarantined []string         `json:"quarantined" doc:"damaged ranges of the write-ahead log, as files"`
	Problems    []string         `json:"problems" doc:"what is wrong and what helps; empty: nothing"`
}

// DeadLetters is the answer to GET /collector/dead.
type DeadLetters struct {
	Letters []ship.DeadLetter `json:"letters"`
}

// ReplayRequest names dead letters to send again.
type ReplayRequest struct {
	Tokens []string `json:"tokens,omitempty" doc:"none: all"`
}

// ReplayResult says what became of each letter that was tried.
type ReplayResult struct {
	Letters []ship.Replayed `json:"letters"`
	Error   string          `json:"error,omitempty" doc:"why the others were not tried"`
}

func (s *System) collectorRoutes(h huma.API) {
	huma.Get(h, "/api/v1/collector", s.getCollector)
	huma.Get(h, "/api/v1/collector/dead", s.getDeadLetters)
	huma.Post(h, "/api/v1/collector/replay", s.postReplay)
}

func (s *System) getCollector(context.Context, *struct{}) (*body[CollectorStatus], error) {
	status, err := collectorStatus(s.dir.sub("collector"))
	if err != nil {
		return nil, huma.Error500InternalServerError(err.Error())
	}
	state := s.collector.Stats()
	logs := s.otlp.Stats()
	status.Running, status.State, status.Logs = true, &state, &logs
	status.Problems = append(append(stateProblems(state), logsProblems(logs)...), status.Problems...)
	return reply(status), nil
}

func (s *System) getDeadLetters(context.Context, *struct{}) (*body[DeadLetters], error) {
	letters, err := readDeadLetters(s.dir.sub("collector"))
	if err != nil {
		return nil, huma.Error500InternalServerError(err.Error())
	}
	return reply(DeadLetters{Letters: append([]ship.DeadLetter{}, letters...)}), nil
}

func (s *System) postReplay(ctx context.Context, in *body[ReplayRequest]) (*body[ReplayResult], error) {
	letters, err := replay(ctx, s.senders(), in.Body.Tokens)
	if errors.Is(err, ship.ErrNoLetter) {
		return nil, huma.Error404NotFound(err.Error())
	}
	return reply(replayResult(letters, err)), nil
}

func replayResult(letters []ship.Replayed, err error) ReplayResult {
	r := ReplayResult{Letters: letters}
	if r.Letters == nil {
		r.Letters = []ship.Replayed{}
	}
	if err != nil {
		r.Error = err.Error()
	}
	return r
}

// stateProblems are those of a running collector.
func stateProblems(s collector.Stats) (p []string) {
	if s.Failing {
		p = append(p, "clickhouse does not take calls; they wait on disk: "+s.Failure)
	}
	switch s.Waiting {
	case "budget":
		p = append(p, "the write-ahead log is full, so reading waits: let ClickHouse catch up, or raise collector.walBytes")
	case "disk":
		p = append(p, "the write-ahead log cannot be written, so reading waits: make room on the disk")
	}
	if s.Waiting == "" && s.WALBytes > s.WALBudget*7/10 {
		p = append(p, fmt.Sprintf("the write-ahead log uses %d%% of its budget; at 100%% reading waits", 100*s.WALBytes/s.WALBudget))
	}
	if s.Lag > time.Minute && !s.Failing {
		p = append(p, fmt.Sprintf("calls come in faster than ClickHouse takes them: the oldest waits for %s", s.Lag.Round(time.Second)))
	}
	return p
}

// logsProblems are those of a running receiver of log records.
func logsProblems(s otlp.Stats) (p []string) {
	switch s.Waiting {
	case "budget":
		p = append(p, "the write-ahead log of functions' log records is full, so they are refused and sent again by their functions: let ClickHouse catch up")
	case "disk":
		p = append(p, "the write-ahead log of functions' log records cannot be written: make room on the disk")
	}
	return p
}

// collectorStatus is what the collector's folder says, also while nothing runs.
func collectorStatus(dir string) (CollectorStatus, error) {
	s := CollectorStatus{Quarantined: []string{}, Problems: []string{}}
	letters, err := readDeadLetters(dir)
	if err != nil {
		s.Problems = append(s.Problems, err.Error())
	}
	for _, l := range letters {
		s.DeadLetters++
		s.DeadRows += l.Rows
	}
	if s.DeadLetters > 0 {
		s.Problems = append(s.Problems, fmt.Sprintf("clickhouse refused %d rows for good: see kongdao collector dead, mend the cause, then kongdao collector replay", s.DeadRows))
	}
	for _, log := range []string{"wal", otlp.WALDir} {
		quarantine := filepath.Join(dir, log, "quarantine")
		bad, err := os.ReadDir(quarantine)
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return s, err
		}
		for _, f := range bad {
			s.Quarantined = append(s.Quarantined, filepath.Join(quarantine, f.Name()))
		}
	}
	if n := len(s.Quarantined); n > 0 {
		s.Problems = append(s.Problems, fmt.Sprintf("%d damaged ranges of the write-ahead log were set aside; the calls in them are not stored", n))
	}
	return s, nil
}

// CollectorOnDisk is the status of a collector that does not run.
func CollectorOnDisk(dataDir string) (CollectorStatus, error) {
	return collectorStatus(filepath.Join(dataDir, "collector"))
}

// DeadLettersOnDisk are the dead letters in a data directory, whoever runs on it.
func DeadLettersOnDisk(dataDir string) (DeadLetters, error) {
	letters, err := readDeadLetters(filepath.Join(dataDir, "collector"))
	if letters == nil {
		letters = []ship.DeadLetter{}
	}
	return DeadLetters{Letters: letters}, err
}

// ReplayOffline replays dead letters of a data directory that no system runs on,
// with ClickHouse alone, which it starts when it is the embedded one.
func ReplayOffline(ctx context.Context, cfg config.Config, log *slog.Logger, tokens []string) (r ReplayResult, err error) {
	s, err := prepare(cfg, log)
	if err != nil {
		return r, err
	}
	defer func() { err = errors.Join(err, s.Stop()) }()
	starting, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	if err := s.startClickHouse(); err != nil {
		return r, err
	}
	if err := s.await(starting, "clickhouse", s.migrate(starting)); err != nil {
		return r, err
	}
	letters, err := replay(ctx, s.offlineSenders(), tokens)
	if errors.Is(err, ship.ErrNoLetter) {
		return r, err
	}
	return replayResult(letters, err), nil
}

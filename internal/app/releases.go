package app

import (
	"context"
	"errors"
	"fmt"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/registry"
	"github.com/kongdao/kongdao/release"
)

// openReleases opens the record of releases. The registry asks it whether a
// revision is still what was published.
func (s *System) openReleases() (func(api.Set) api.Problems, error) {
	if !s.has(PartXDS) {
		return nil, nil
	}
	var err error
	if s.ledger, err = release.Open(s.dir.sub("releases"), s.log.With("part", "release")); err != nil {
		return nil, err
	}
	return s.ledger.Check, nil
}

// startReleases starts what drives automatic releases.
func (s *System) startReleases() (err error) {
	sources := release.Sources{Calls: s.callsByRevision, Ready: s.readyPods, Gate: s.passes}
	s.releases, err = release.New(release.DefaultConfig(), s.ledger, sources, s.log.With("part", "release"), s.reg)
	if err != nil {
		return fmt.Errorf("release: %w", err)
	}
	s.life.start("release", s.releases.Run)
	return nil
}

// callsByRevision are the collector's live figures; where the collector is another
// process, ClickHouse has them.
func (s *System) callsByRevision(ctx context.Context, function string, slow time.Duration) (map[string]release.Count, error) {
	if s.collector == nil {
		return s.storedByRevision(ctx, function, slow)
	}
	counts := map[string]release.Count{}
	for name, r := range s.collector.Revisions(function, slow) {
		counts[name] = release.Count(r)
	}
	return counts, nil
}

// storedByRevision counts the calls since this process began.
func (s *System) storedByRevision(ctx context.Context, function string, slow time.Duration) (map[string]release.Count, error) {
	if s.ch == nil {
		return nil, errors.New("this process has neither a collector nor a ClickHouse")
	}
	bound := uint32(1<<32 - 1)
	if us := slow.Microseconds(); us > 0 && us < int64(bound) {
		bound = uint32(us)
	}
	rows, err := s.ch.Query(ctx, `SELECT revision, sum(sample_weight), sumIf(sample_weight, status >= 500), sumIf(sample_weight, duration_us > ?)
		FROM calls WHERE function = ? AND load_test = '' AND limited_by = '' AND ts >= fromUnixTimestamp64Micro(?) GROUP BY revision`,
		bound, function, s.began.UnixMicro())
	if err != nil {
		return nil, err
	}
	defer rows.Close()
	counts := map[string]release.Count{}
	for rows.Next() {
		var name string
		var c release.Count
		if err := rows.Scan(&name, &c.Calls, &c.Failed, &c.Slow); err != nil {
			return nil, err
		}
		counts[name] = c
	}
	return counts, rows.Err()
}

func (s *System) readyPods(function, revision string) (n int) {
	w := s.xds.World()
	if w == nil || w.Function(function) == nil {
		return 0
	}
	r := w.Function(function).Revision(revision)
	if r == nil {
		return 0
	}
	for _, p := range r.Pods {
		if p.Ready && p.InRotation() {
			n++
		}
	}
	return n
}

// applyResources gives the control plane a state of the resources, with the weights
// that are in force.
func (s *System) applyResources(ctx context.Context, snapshot registry.Snapshot) {
	s.prober.SetTargets(healthTargets(snapshot.Set))
	if err := s.ledger.Publish(snapshot.Set); err != nil {
		s.log.Error("releases not recorded", "error", err)
	}
	s.applyWeights(ctx, snapshot)
}

func (s *System) applyWeights(ctx context.Context, snapshot registry.Snapshot) {
	if err := s.xds.Apply(ctx, s.ledger.Effective(snapshot.Set)); err != nil {
		s.log.Error("consumers without access", "error", err)
	}
}

// weightsChanged speaks when releases changed weights; never without them.
func (s *System) weightsChanged() <-chan struct{} {
	if s.ledger == nil {
		return nil
	}
	return s.ledger.Changed()
}

// ReleaseCommand changes which revision of a function gets its traffic.
type ReleaseCommand struct {
	Action   string `json:"action" enum:"weight,rollback,reset,pause,resume,abort"`
	Revision string `json:"revision,omitempty" doc:"for weight; for rollback: where to, empty: what was before"`
	Weight   int    `json:"weight,omitempty" minimum:"0" maximum:"100" doc:"for weight: percent, the others share the rest"`
}

type releaseInput struct {
	Name string `path:"name"`
	Body ReleaseCommand
}

func (s *System) putRelease(ctx context.Context, in *releaseInput) (*body[release.State], error) {
	err := s.raises(ctx, in.Name, in.Body)
	if err == nil {
		err = s.command(in.Name, in.Body)
	}
	if err != nil {
		switch {
		case errors.Is(err, release.ErrUnknown):
			return nil, huma.Error404NotFound(err.Error())
		case errors.Is(err, release.ErrConflict):
			return nil, huma.Error409Conflict(err.Error())
		}
		return nil, huma.Error500InternalServerError(err.Error())
	}
	state, _ := s.releases.State(in.Name)
	return reply(state), nil
}

func (s *System) command(function string, c ReleaseCommand) error {
	switch c.Action {
	case "weight":
		return s.ledger.SetWeight(function, c.Revision, c.Weight)
	case "rollback":
		_, err := s.ledger.Rollback(function, c.Revision)
		return err
	case "reset":
		return s.ledger.Reset(function)
	case "pause":
		return s.ledger.Pause(function)
	case "resume":
		return s.ledger.Resume(function)
	default:
		return s.ledger.Abort(function)
	}
}

package app

import (
	"context"
	"fmt"
	"math"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"time"

	"github.com/danielgtaylor/huma/v2"

	"github.com/kongdao/kongdao/capacity/apply"
	"github.com/kongdao/kongdao/capacity/kept"
)

// foundDir holds one file for each search for a safe rate, in the data directory.
const foundDir = "capacity"

// keptFound is how many results are kept, the newest.
const keptFound = 500

// FoundList is the answer to GET /capacity/found.
type FoundList struct {
	Found []apply.Found `json:"found" doc:"the newest first"`
}

// Offered is what the pods of a function get now.
type Offered struct {
	Function string          `json:"function"`
	Serving  []apply.Serving `json:"serving" doc:"revisions that get calls"`
	Ready    int             `json:"ready_pods"`
	PerPod   float64         `json:"per_pod" doc:"calls a second, refused ones included, of the busiest minute of the last five"`
	Known    bool            `json:"known" doc:"false: without call logs or ready pods nobody knows per_pod"`
	MaxAge   float64         `json:"max_age_s" doc:"capacity.maxAge"`
}

func (s *System) foundRoutes(h huma.API) {
	huma.Post(h, "/api/v1/capacity/found", s.postFound)
	huma.Get(h, "/api/v1/capacity/found", s.getFound)
	huma.Get(h, "/api/v1/capacity/begin/{name}", s.getBegin)
	huma.Get(h, "/api/v1/capacity/offered/{name}", s.getOffered)
	huma.Get(h, "/api/v1/capacity/watch", s.getWatch)
}

var runPattern = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,63}$`)

func (s *System) postFound(_ context.Context, in *body[apply.Found]) (*body[apply.Found], error) {
	f := in.Body
	if !runPattern.MatchString(f.Run) || f.Function == "" || f.Started.IsZero() {
		return nil, huma.Error422UnprocessableEntity("function, run and started: must not be empty, and run has letters, digits, dots and dashes alone")
	}
	folder := s.foundFolder()
	if err := folder.Save(f.Run, f); err != nil {
		return nil, err
	}
	all := s.allFound()
	for _, old := range all[min(keptFound, len(all)):] {
		if err := os.Remove(filepath.Join(folder.Dir, old.Run+".json")); err != nil {
			s.log.Warn("an old result of a search for a safe rate stays", "error", err)
		}
	}
	return reply(f), nil
}

type foundInput struct {
	Function string `query:"function"`
	Run      string `query:"run"`
}

func (s *System) getFound(_ context.Context, in *foundInput) (*body[FoundList], error) {
	list := FoundList{Found: []apply.Found{}}
	for _, f := range s.allFound() {
		if (in.Function == "" || f.Function == in.Function) && (in.Run == "" || f.Run == in.Run) {
			list.Found = append(list.Found, f)
		}
	}
	return reply(list), nil
}

func (s *System) foundFolder() kept.Folder[apply.Found] {
	return kept.Folder[apply.Found]{Dir: s.dir.sub(foundDir)}
}

// allFound are all results that are kept and can be read, the newest first.
func (s *System) allFound() []apply.Found {
	all, err := s.foundFolder().List()
	if err != nil {
		s.log.Warn("results of searches for safe rates cannot be read", "error", err)
	}
	slices.SortStableFunc(all, func(a, b apply.Found) int { return b.Started.Compare(a.Started) })
	return all
}

func (s *System) getOffered(ctx context.Context, in *nameInput) (*body[Offered], error) {
	all, err := s.listFunctions(ctx, nil)
	if err != nil {
		return nil, err
	}
	i := slices.IndexFunc(all.Body.Functions, func(f Function) bool { return f.Function.Name == in.Name })
	if i < 0 {
		return nil, huma.Error404NotFound("there is no function " + in.Name)
	}
	f := all.Body.Functions[i]
	o := Offered{Function: in.Name, Serving: []apply.Serving{}, MaxAge: s.cfg.Capacity.MaxAge.Std().Seconds()}
	for _, w := range f.Release.Weights {
		if w.Percent > 0 {
			o.Serving = append(o.Serving, apply.Serving{Revision: w.Revision, Percent: w.Percent})
		}
	}
	for _, p := range f.State.Pods {
		o.Ready += p.Ready
	}
	if s.ch == nil || o.Ready == 0 {
		return reply(o), nil
	}
	rate, err := s.busiestMinute(ctx, in.Name)
	if err != nil {
		return nil, answerOf(err)
	}
	o.PerPod, o.Known = rate/float64(o.Ready), true
	return reply(o), nil
}

// busiestMinute is the highest rate over a minute of the last five, calls a second.
func (s *System) busiestMinute(ctx context.Context, function string) (rate float64, err error) {
	ctx, cancel := context.WithTimeout(ctx, questionTimeout)
	defer cancel()
	err = s.ch.QueryRow(ctx, `SELECT max(n) FROM (SELECT sum(sample_weight) / 60 AS n FROM calls WHERE load_test = '' AND function = ?
		AND ts > fromUnixTimestamp64Micro(?) GROUP BY intDiv(toUnixTimestamp64Micro(ts), 60000000))`,
		function, time.Now().Add(-5*time.Minute).UnixMicro()).Scan(&rate)
	if err != nil {
		return 0, fmt.Errorf("ask what pods are offered: %w", err)
	}
	if math.IsNaN(rate) {
		rate = 0
	}
	return rate, nil
}

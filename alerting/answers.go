package alerting

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"path/filepath"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/alerting/chat"
	"github.com/kongdao/kongdao/alerting/claim"
	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/dingtalk/stream"
	"github.com/kongdao/kongdao/alerting/ledger"
	"github.com/kongdao/kongdao/alerting/outbox"
	"github.com/kongdao/kongdao/alerting/reply"
	"github.com/kongdao/kongdao/api"
)

// Escalation says what happens to pages that nobody claims or silences.
type Escalation struct {
	// After is how long a page goes unclaimed before the first step, and how long each
	// step gets; 0: nothing happens by itself.
	After api.Duration `yaml:"after"`
	// To are the steps, one after the other: next is the next person on call, in the
	// same channel; others are channels, robots or receivers with integrations.
	To []string `yaml:"to"`
}

// answers is what people can answer to messages with.
type answers struct {
	book *claim.Book
	chat *chat.Chat
	// telling makes what the book knows and what the outbox holds the same order: a
	// step upwards must not overtake the end of its matter.
	telling sync.RWMutex
	page    *reply.Page // behind links in messages of robots that are no apps
	// buttonless: some robots are no apps.
	buttonless atomic.Bool
}

func (c Config) claim() claim.Config {
	cc := claim.DefaultConfig(filepath.Join(c.Dir, "claims"))
	cc.After, cc.Steps = c.Escalation.After.Std(), c.Escalation.To
	return cc
}

func (c Config) chat() chat.Config {
	loc, _ := c.location() // validated
	cc := chat.Config{Dir: filepath.Join(c.Dir, "claims"), Lang: c.Lang, Location: loc, Steps: len(c.Escalation.To), Stream: stream.DefaultConfig()}
	return cc
}

// listen makes what answers need; the engine may still be missing.
func (a *Alerter) listen(log *slog.Logger) (err error) {
	cfg := a.cfg.claim()
	cfg.Hooks = claim.Hooks{
		Silence: func(ctx context.Context, g dingtalk.Group, by, comment string, until time.Time) (string, error) {
			return a.engine.Silence(ctx, g, by, comment, until)
		},
		Fires:   func(g dingtalk.Group) bool { return a.engine.Fires(g) },
		Tell:    a.tellStep,
		Refused: func(x claim.Answer, err error) { a.answers.chat.Refused(x, err) },
		Changed: func(s claim.State) { a.answers.chat.Changed(s) },
		Record:  a.recordAnswer,
	}
	if a.answers.book, err = claim.New(cfg, log); err != nil {
		return err
	}
	cc := a.cfg.chat()
	cc.Who = a.who
	cc.Name = func(userID string) string { return a.people.Load().Name(userID) }
	if a.answers.chat, err = chat.New(cc, a.answers.book, log); err == nil {
		err = a.setApps(a.cfg.Robots)
	}
	if err != nil {
		return errors.Join(err, a.answers.book.Close())
	}
	a.answers.page = reply.New(reply.Config{
		Lang: a.cfg.Lang, Location: cc.Location, Escalate: cc.Steps > 0, Log: log,
		URL:       func(path string, q url.Values, until time.Time) string { return a.links.URL(path, q, until) },
		Claims:    a.Claims,
		Answer:    a.Answer,
		Answerers: func(g dingtalk.Group) []string { return a.people.Load().Answerers(g) },
	})
	return nil
}

// answerLinks are what can be answered to a message without buttons. It is called
// with the outbox locked and takes no lock of the alerter's.
func (a *Alerter) answerLinks(g dingtalk.Group) []dingtalk.Link {
	if !a.answers.buttonless.Load() {
		return nil
	}
	return a.answers.page.Links(g)
}

// setApps takes over which robots have buttons.
func (a *Alerter) setApps(robots []Robot) error {
	a.answers.buttonless.Store(slices.ContainsFunc(robots, func(r Robot) bool { return r.App == nil }))
	return a.answers.chat.SetRobots(robots)
}

// runAnswers works until ctx ends, and returns nil then.
func (a *Alerter) runAnswers(ctx context.Context) error {
	var running sync.WaitGroup
	running.Go(func() { _ = a.answers.chat.Run(ctx) }) // always nil
	err := a.answers.book.Run(ctx)
	running.Wait()
	return err
}

// told hands a group to the outbox, after the book took note of it.
func (a *Alerter) told(channel string, g dingtalk.Group) error {
	a.answers.telling.RLock() // groups that are told at once share one write to disk
	defer a.answers.telling.RUnlock()
	if err := a.answers.book.Told(channel, g); err != nil {
		a.log.Error("claims cannot be written", "group", g.ID(), "err", err) // no reason to be silent
	}
	return a.outbox.Put(channel, g)
}

// tellStep sends a group to where a step leads.
func (a *Alerter) tellStep(channel string, g dingtalk.Group) error {
	a.answers.telling.Lock()
	defer a.answers.telling.Unlock()
	if s, ok := a.answers.book.Find(g.Key); g.Firing() && (!ok || !s.Open()) {
		return fmt.Errorf("escalate %s: %w", g.ID(), claim.ErrEnded)
	}
	return a.outbox.Put(channel, g)
}

// who is the person of a user id, if that person may answer to g.
func (a *Alerter) who(userID string, g dingtalk.Group) (string, error) {
	d := a.people.Load()
	if teams, may := d.May(userID, g); !may {
		return "", &chat.NotYoursError{Team: teams}
	}
	return d.Name(userID), nil
}

// recordAnswer writes what was done into the ledger.
func (a *Alerter) recordAnswer(e claim.Event) {
	ev := outbox.Describe(e.State.Group)
	ev.ID, ev.At, ev.Kind = ledger.ID("answer", e.Kind, e.ID), e.At, ledger.Kind(e.Kind)
	ev.Message = ledger.ID("matter", e.State.Key, e.State.Since.UnixNano())
	ev.Channel, ev.Alerts, ev.By, ev.Reason = e.State.Channel, e.State.Alerts, e.By, e.Reason
	a.Record(ev)
}

// Claims are the matters that people were told of, open ones first.
func (a *Alerter) Claims() []claim.State { return a.answers.book.List() }

// Claim is the matter of a group key or short ID, such as #A3F2.
func (a *Alerter) Claim(name string) (claim.State, bool) { return a.answers.book.Find(name) }

// Answer does what a person asks for, and returns when it is done; while Run runs.
func (a *Alerter) Answer(ctx context.Context, x claim.Answer) (claim.State, error) {
	return a.answers.book.Do(ctx, x)
}

// streamMetrics say whether buttons work.
func (a *Alerter) streamMetrics() []prometheus.Collector {
	gauge := func(name, help string, value func(open, of int) int) prometheus.Collector {
		return prometheus.NewGaugeFunc(prometheus.GaugeOpts{Name: name, Help: help}, func() float64 {
			return float64(value(a.answers.chat.Connected()))
		})
	}
	return []prometheus.Collector{
		gauge("kongdao_alerting_apps", "Apps of robots, whose buttons are heard over a stream each.", func(_, of int) int { return of }),
		gauge("kongdao_alerting_streams_open", "Streams that are open; with fewer than apps, buttons of cards do nothing.", func(open, _ int) int { return open }),
	}
}

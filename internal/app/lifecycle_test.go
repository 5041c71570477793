package app

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestPartsStopInTheOppositeOrder has three parts note their end; each must end
// only after those that started later.
func TestPartsStopInTheOppositeOrder(t *testing.T) {
	l := newLifecycle(slog.New(slog.DiscardHandler))
	var ended []string // written by one part at a time, or the test fails under -race
	for _, name := range []string{"clickhouse", "collector", "gateway"} {
		l.start(name, func(ctx context.Context) error {
			<-ctx.Done()
			ended = append(ended, name)
			return nil
		})
	}
	if err := l.stop(); err != nil {
		t.Fatal(err)
	}
	if want := []string{"gateway", "collector", "clickhouse"}; !slices.Equal(ended, want) {
		t.Errorf("stopped in the order %v, want %v", ended, want)
	}
}

func TestPartThatEndsByItselfIsNamed(t *testing.T) {
	broken := errors.New("disk on fire")
	l := newLifecycle(slog.New(slog.DiscardHandler))
	l.start("steady", func(ctx context.Context) error { <-ctx.Done(); return nil })
	l.start("collector", func(context.Context) error { return broken })
	err := <-l.failed
	if !errors.Is(err, broken) || !strings.HasPrefix(err.Error(), "collector: ") {
		t.Errorf("%v", err)
	}
	if err := l.stop(); !errors.Is(err, broken) {
		t.Errorf("stop: %v", err)
	}
}

func TestPartThatReturnsNilTooEarlyIsAFailure(t *testing.T) {
	l := newLifecycle(slog.New(slog.DiscardHandler))
	l.start("gateway", func(context.Context) error { return nil })
	if err := <-l.failed; err == nil || !strings.Contains(err.Error(), "gateway ended unexpectedly") {
		t.Errorf("%v", err)
	}
	_ = l.stop()
}

func TestQueriesHoldNoUserText(t *testing.T) {
	evil := "x' OR 1=1 --"
	f, err := CallFilter{
		Function: evil, Tenant: evil, Revision: evil, Zone: evil, Pod: evil, Gateway: evil, Consumer: evil, Method: evil, Host: evil,
		PathPrefix: evil, Path: evil, LimitedBy: evil, LoadRun: evil, Status: "5xx", Since: time.Unix(1, 0),
	}.parse()
	if err != nil {
		t.Fatal(err)
	}
	for _, where := range []condition{f.where(), source{table: "calls_1m", step: time.Minute}.where(f)} {
		if strings.Contains(where.String(), "OR 1=1") {
			t.Errorf("%s", where)
		}
	}
	if n := len(f.where().args); n != 14 {
		t.Errorf("%d parameters", n)
	}
}

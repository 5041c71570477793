package engine

import (
	"context"
	"errors"
	"log/slog"
	"slices"
	"strings"
	"time"

	"github.com/prometheus/alertmanager/nflog"
	"github.com/prometheus/alertmanager/nflog/nflogpb"
	"github.com/prometheus/alertmanager/notify"
)

// deferring is the notification log of an instance that others come before. They see
// a fault, or its end, some seconds earlier or later, and this one decides by what it
// saw before it waited for them: it would tell once more that something fires of
// which they have just told the end. So it leaves a group alone of which was told
// lately, and looks again.
type deferring struct {
	notify.NotificationLog
	lately func() time.Duration // 0: nobody comes before this one
}

// errDeferred makes Alertmanager try a group again at its next interval.
var errDeferred = errors.New("another instance has told of the group lately")

// Query is the log's; a group that is to be left alone is an error.
func (d deferring) Query(params ...nflog.QueryParam) ([]*nflogpb.Entry, error) {
	entries, err := d.NotificationLog.Query(params...)
	if lately := d.lately(); err == nil && lately > 0 {
		for _, e := range entries {
			if time.Since(e.GetTimestamp().AsTime()) < lately {
				return nil, errDeferred
			}
		}
	}
	return entries, err
}

// quietly is log without the errors that only mean that a group was left alone.
func quietly(log *slog.Logger) *slog.Logger { return slog.New(quiet{log.Handler()}) }

type quiet struct{ slog.Handler }

// WithAttrs returns a handler that says nothing when the attributes name errDeferred:
// Alertmanager's code puts the error of a line there.
func (q quiet) WithAttrs(attrs []slog.Attr) slog.Handler {
	if slices.ContainsFunc(attrs, func(a slog.Attr) bool {
		return a.Key == "err" && strings.Contains(a.Value.String(), errDeferred.Error())
	}) {
		return slog.DiscardHandler
	}
	return quiet{q.Handler.WithAttrs(attrs)}
}

// WithGroup keeps the handler's promise within a group.
func (q quiet) WithGroup(name string) slog.Handler { return quiet{q.Handler.WithGroup(name)} }

// Handle passes lines on.
func (q quiet) Handle(ctx context.Context, r slog.Record) error { return q.Handler.Handle(ctx, r) }

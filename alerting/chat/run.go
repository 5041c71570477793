package chat

import (
	"context"
	"log/slog"
	"sync"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk/stream"
)

// Run hears presses and keeps cards current until ctx ends, and returns nil then.
func (c *Chat) Run(ctx context.Context) error {
	c.mu.Lock()
	c.start = func(of app) *running { return c.hear(ctx, of) }
	c.sync()
	c.mu.Unlock()
	c.paint(ctx)
	c.mu.Lock()
	c.start = nil
	for of, s := range c.streams {
		s.stop()
		delete(c.streams, of)
	}
	c.mu.Unlock()
	c.hearing.Wait() // without the lock, which a last callback may want
	return nil
}

// hear starts the stream of an app.
func (c *Chat) hear(ctx context.Context, of app) *running {
	cfg := c.cfg.Stream
	cfg.ClientID, cfg.ClientSecret, cfg.OpenAPI = of.id, of.secret, of.openAPI
	accept := func(ctx context.Context, call stream.Callback) error { return c.accept(ctx, of, call) }
	client, err := stream.New(cfg, accept, c.log.With(slog.String("app", of.id)))
	if err != nil { // the app was validated
		c.log.Error("no stream for an app", "app", of.id, "err", err)
		return &running{client: &stream.Client{}, stop: func() {}}
	}
	ctx, cancel := context.WithCancel(ctx)
	c.hearing.Go(func() { _ = client.Run(ctx) }) // always nil
	return &running{client: client, stop: cancel}
}

// painters bounds the requests at one time.
const painters = 4

// paint changes cards until ctx ends.
func (c *Chat) paint(ctx context.Context) {
	var busy sync.WaitGroup
	defer busy.Wait()
	slots := make(chan struct{}, painters)
	for ctx.Err() == nil {
		due, wait := c.due()
		for _, t := range due {
			select {
			case slots <- struct{}{}:
			case <-ctx.Done():
				return
			}
			busy.Go(func() {
				defer func() { <-slots }()
				c.do(ctx, t)
			})
		}
		timer := time.NewTimer(wait)
		select {
		case <-ctx.Done():
		case <-c.wake:
		case <-timer.C:
		}
		timer.Stop()
	}
}

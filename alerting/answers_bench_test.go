package alerting_test

import (
	"context"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/alerting"
	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/api"
)

// benchCards is how many cards one window lets through.
const benchCards = 15

// BenchmarkAnswer is the way from a button to what it does, with everything between:
// stream, book on disk, Alertmanager's silences, and the card that everybody sees. The
// stand-in answers at once. Each card is silenced once, and claimed again and again.
func BenchmarkAnswer(b *testing.B) {
	ding := dingtalktest.Start(b, dingtalktest.Config{App: &dingtalktest.App{
		ClientID: "ding-app", ClientSecret: appSecret, Conversations: []string{"cid"}, Templates: []string{"tpl"}, Users: []string{"u"},
	}})
	a := benchAlerter(b, ding)
	cards := benchFire(b, a, ding)
	press := func(card int, action, state string) time.Duration {
		begin := time.Now()
		ctx, cancel := context.WithTimeout(b.Context(), patience)
		defer cancel()
		if _, err := ding.Click(ctx, dingtalktest.Click{Card: cards[card].ID, User: "u", Action: action}); err != nil {
			b.Fatal(err)
		}
		if _, err := ding.WaitCards(ctx, func(c []dingtalktest.Card) bool { return c[card].Params["state"] == state }); err != nil {
			b.Fatal(err)
		}
		return time.Since(begin)
	}
	var claims, silences []time.Duration
	for i := 0; b.Loop(); i++ {
		claims = append(claims, press(i%benchCards, "claim", "claimed"))
		press(i%benchCards, "release", "firing")
	}
	for i := range benchCards {
		silences = append(silences, press(i, "silence", "silenced"))
	}
	if n := strings.Count(benchGet(b, "http://"+a.Addr()+"/api/v2/silences"), `"createdBy":"u"`); n != benchCards {
		b.Errorf("%d silences are stored, want %d", n, benchCards)
	}
	for name, took := range map[string][]time.Duration{"claim": claims, "silence": silences} {
		slices.Sort(took)
		at := func(q float64) float64 {
			return took[min(int(q*float64(len(took))), len(took)-1)].Seconds() * 1000
		}
		b.ReportMetric(at(0.5), name+"-p50-ms")
		b.ReportMetric(at(0.99), name+"-p99-ms")
	}
	b.ReportMetric(0, "ns/op")
}

func benchAlerter(b *testing.B, ding *dingtalktest.Server) *alerting.Alerter {
	b.Helper()
	cfg := alerting.DefaultConfig(b.TempDir())
	cfg.Alertmanager, cfg.TimeZone = quick, "UTC"
	cfg.Robots = []alerting.Robot{{Name: "oncall", App: &dingtalk.App{
		ClientID: "ding-app", ClientSecret: api.Secret(appSecret), Conversation: "cid", Template: "tpl", OpenAPI: "http://" + ding.Addr(),
	}}}
	a, err := alerting.New(cfg, slog.New(slog.DiscardHandler), prometheus.NewRegistry())
	if err != nil {
		b.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- a.Run(ctx) }()
	b.Cleanup(func() {
		cancel()
		if err := <-done; err != nil {
			b.Error(err)
		}
	})
	return a
}

// benchFire makes as many cards as there may be.
func benchFire(b *testing.B, a *alerting.Alerter, ding *dingtalktest.Server) []dingtalktest.Card {
	b.Helper()
	var alerts []string
	for i := range benchCards {
		alerts = append(alerts, fmt.Sprintf(`{"labels":{"alertname":"Bench","function":"f%d","severity":"page"}}`, i))
	}
	resp, err := noKeepAlive.Post("http://"+a.Addr()+"/api/v2/alerts", "application/json", strings.NewReader("["+strings.Join(alerts, ",")+"]"))
	if err != nil || resp.StatusCode != http.StatusOK {
		b.Fatalf("%v %v", resp, err)
	}
	resp.Body.Close()
	ctx, cancel := context.WithTimeout(b.Context(), patience)
	defer cancel()
	cards, err := ding.WaitCards(ctx, func(c []dingtalktest.Card) bool { return len(c) >= benchCards })
	if err == nil {
		err = ding.WaitStreams(ctx, 1)
	}
	if err != nil {
		b.Fatal(err)
	}
	return cards
}

func benchGet(b *testing.B, address string) string {
	b.Helper()
	resp, err := noKeepAlive.Get(address)
	if err != nil {
		b.Fatal(err)
	}
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	if err != nil {
		b.Fatal(err)
	}
	return string(text)
}

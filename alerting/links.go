package alerting

import (
	"bytes"
	"context"
	"errors"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/kongdao/kongdao/alerting/chart"
	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/link"
	"github.com/kongdao/kongdao/alerting/rule"
	"github.com/kongdao/kongdao/api"
)

// Links are addresses in messages that lead back here, for people's phones: charts.
type Links struct {
	ListenLinks string     `yaml:"listenLinks"` // host:port; empty: there are none
	LinksURL    string     `yaml:"linksURL"`    // where phones reach it; empty: http:// and the address
	LinksKey    api.Secret `yaml:"linksKey"`    // signs the addresses, the same in every instance; empty: one is made and kept
}

func (c Config) links() link.Config {
	return link.Config{Dir: c.Dir, Listen: c.Links.ListenLinks, URL: c.Links.LinksURL, Key: c.Links.LinksKey}
}

// AddrLinks is where links in messages lead, host:port; empty: there are none.
func (a *Alerter) AddrLinks() string { return a.links.Addr() }

// What a chart shows: the time before the alert, at least and at most so much in
// all, and for how long its address is good. It is drawn when somebody looks, from
// the samples that are kept then.
const (
	chartPath   = "/chart.png"
	chartBefore = 15 * time.Minute
	chartMost   = 6 * time.Hour
	chartGood   = 24 * time.Hour
	chartSteps  = 180
)

// chartURL is the address of a picture of what g is about, for a message of that
// moment; empty if there is none.
func (a *Alerter) chartURL(g dingtalk.Group, at time.Time) string {
	name := g.Name()
	if a.links == nil || name == "" || len(g.Alerts) == 0 || !a.rule.Draws(name) {
		return ""
	}
	began := g.Alerts[0].StartsAt
	for _, x := range g.Alerts {
		if x.StartsAt.Before(began) {
			began = x.StartsAt
		}
	}
	q := url.Values{"alert": {name}, "began": {unix(began)}, "at": {unix(at.Add(time.Second - 1))}} // whole seconds, not before at
	for _, k := range slices.Sorted(maps.Keys(g.Labels)) {
		if k != "alertname" && k != "team" && k != "severity" {
			q.Add("l", k+"="+g.Labels[k])
		}
	}
	return a.links.URL(chartPath, q, at.Add(chartGood))
}

func unix(t time.Time) string { return strconv.FormatInt(t.Unix(), 10) }

// charts keeps the last pictures: a message has as many readers as its group.
type charts struct {
	mu   sync.Mutex // also so that one is drawn at a time
	kept map[string][]byte
	last []string
}

const keptCharts = 32

// serveChart draws what a chart's address says.
func (a *Alerter) serveChart(w http.ResponseWriter, r *http.Request, q url.Values) {
	png, err := a.drawChart(r.Context(), q)
	switch {
	case errors.Is(err, rule.ErrNoCurves):
		http.Error(w, "there is nothing to draw any more", http.StatusNotFound)
	case err != nil:
		a.log.Warn("chart cannot be drawn", "alert", q.Get("alert"), "err", err)
		http.Error(w, "the chart cannot be drawn", http.StatusInternalServerError)
	default:
		w.Header().Set("Content-Type", "image/png")
		w.Header().Set("Cache-Control", "public, max-age=86400, immutable")
		_, _ = w.Write(png)
	}
}

func (a *Alerter) drawChart(ctx context.Context, q url.Values) ([]byte, error) {
	c := &a.charts
	c.mu.Lock()
	defer c.mu.Unlock()
	key := q.Encode()
	if png := c.kept[key]; png != nil {
		return png, nil
	}
	png, err := a.draw(ctx, q)
	if err != nil {
		return nil, err
	}
	if c.kept == nil {
		c.kept = map[string][]byte{}
	}
	if len(c.last) == keptCharts {
		delete(c.kept, c.last[0])
		c.last = c.last[1:]
	}
	c.kept[key], c.last = png, append(c.last, key)
	return png, nil
}

func (a *Alerter) draw(ctx context.Context, q url.Values) ([]byte, error) {
	began, errBegan := strconv.ParseInt(q.Get("began"), 10, 64)
	at, errAt := strconv.ParseInt(q.Get("at"), 10, 64)
	if err := errors.Join(errBegan, errAt); err != nil {
		return nil, err
	}
	of, title := map[string]string{}, q.Get("alert")
	for _, l := range q["l"] {
		name, value, _ := strings.Cut(l, "=")
		of[name] = value
		title += "  " + l
	}
	loc, _ := a.cfg.location() // validated
	c := chart.Chart{Title: title, Began: time.Unix(began, 0), To: time.Unix(at, 0), Location: loc}
	c.From = c.Began.Add(-chartBefore)
	if earliest := c.To.Add(-chartMost); c.From.Before(earliest) {
		c.From = earliest
	}
	curves, err := a.rule.Curves(ctx, q.Get("alert"), of, c.From, c.To, chartSteps)
	if err != nil {
		return nil, err
	}
	c.Bound = curves.Bound
	for i, s := range curves.Series[:min(len(curves.Series), chart.MaxLines)] {
		l := chart.Line{Name: curves.Name(i)}
		for j, t := range s.Times {
			l.Points = append(l.Points, chart.Point{Time: t, Value: s.Values[j]})
		}
		c.Lines = append(c.Lines, l)
	}
	var b bytes.Buffer
	if err := c.Draw(&b); err != nil {
		return nil, err
	}
	return b.Bytes(), nil
}

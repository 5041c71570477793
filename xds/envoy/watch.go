package envoy

import (
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"slices"
	"time"
)

// firstPause is how long after a replacement the next may come; it doubles up to
// lastPause, for what wedges Envoy again at once is not mended by it.
const (
	firstPause = 30 * time.Second
	lastPause  = 10 * time.Minute
)

// maxNamed bounds names in a message.
const maxNamed = 10

// What came of a wedged Envoy.
const (
	resultReplaced = "replaced"
	resultFailed   = "failed"
)

// Watch replaces an Envoy that takes no configuration any more, until ctx ends.
// silent says for how long it has left an update unanswered, when that is longer
// than the update may take, and for what; else 0.
func (g *Gateway) Watch(ctx context.Context, silent func() (time.Duration, []string)) error {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	pause, next := firstPause, time.Time{}
	for {
		var now time.Time
		select {
		case <-ctx.Done():
			return nil
		case now = <-tick.C:
		}
		if now.Before(next) {
			continue
		}
		took, names := silent()
		if took == 0 {
			continue
		}
		err := g.heal(ctx, took, names)
		if errors.Is(err, errBusy) {
			next = now.Add(replaceAsk)
			continue
		}
		next, pause = time.Now().Add(pause), min(2*pause, lastPause)
	}
}

func (g *Gateway) heal(ctx context.Context, took time.Duration, names []string) error {
	log := g.log.With("silent", took.Round(time.Millisecond), "unanswered", first(names), "warming", first(g.Warming(ctx)))
	err := g.Replace(ctx)
	switch {
	case err == nil:
		log.Error("envoy took no configuration any more and was replaced")
		g.wedged.WithLabelValues(resultReplaced).Inc()
	case ctx.Err() != nil:
	case errors.Is(err, errBusy):
		log.Warn("envoy takes no configuration", "error", err)
	default:
		log.Error("envoy takes no configuration any more and could not be replaced: it serves on with what it has", "error", err)
		g.wedged.WithLabelValues(resultFailed).Inc()
	}
	return err
}

func first(names []string) []string { return names[:min(len(names), maxNamed)] }

// Warming are the clusters that Envoy has been given and does not use yet, sorted;
// none when it does not answer.
func (g *Gateway) Warming(ctx context.Context) []string { return g.admin().warming(ctx) }

func (a admin) warmingNow() []string { return first(a.warming(context.Background())) }

func (a admin) warming(ctx context.Context) []string {
	ctx, cancel := context.WithTimeout(ctx, replaceAsk)
	defer cancel()
	body, err := a.call(ctx, http.MethodGet, "/config_dump?resource=dynamic_warming_clusters&mask=cluster.name")
	if err != nil {
		return nil
	}
	defer body.Close()
	return warmingIn(body)
}

// warmingIn reads Envoy's dump of clusters.
func warmingIn(dump io.Reader) (names []string) {
	var found struct {
		Configs []struct {
			Cluster struct {
				Name string `json:"name"`
			} `json:"cluster"`
		} `json:"configs"`
	}
	if json.NewDecoder(dump).Decode(&found) != nil {
		return nil
	}
	for _, c := range found.Configs {
		names = append(names, c.Cluster.Name)
	}
	slices.Sort(names)
	return names
}

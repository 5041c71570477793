package rule

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"runtime"
	"time"

	"github.com/grafana/regexp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/route"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/promql"
	"github.com/prometheus/prometheus/rules"
	"github.com/prometheus/prometheus/scrape"
	apiv1 "github.com/prometheus/prometheus/web/api/v1"
)

// paths are those of Prometheus' API that are served: what people, kongdao and
// Grafana ask. The others would need parts that are not here.
var paths = regexp.MustCompile(`^/api/v1/(query|query_range|query_exemplars|rules|alerts|targets|labels|label/[^/]+/values|series|metadata|format_query|parse_query|status/buildinfo)$`)

func newAPI(e *Evaluator, engine *promql.Engine, db *database, scraper *scrape.Manager, manager *rules.Manager) http.Handler {
	ready := func(f http.HandlerFunc) http.HandlerFunc { return f }
	u := apiv1.GlobalURLOptions{ListenAddress: e.Addr(), Host: e.external.Host, Scheme: e.external.Scheme}
	api := apiv1.NewAPI(
		engine, db, nil, db,
		func(context.Context) apiv1.ScrapePoolsRetriever { return scraper },
		func(context.Context) apiv1.TargetRetriever { return scraper },
		func(context.Context) apiv1.AlertmanagerRetriever { return noAlertmanagers{} },
		func() config.Config { return config.Config{} }, nil, u, ready, nil, "",
		false, false, 0, // no administration, no search
		e.log, func(context.Context) apiv1.RulesRetriever { return manager },
		1_000_000, 2, 1<<20, false, regexp.MustCompile(`^$`),
		func() (apiv1.RuntimeInfo, error) { return apiv1.RuntimeInfo{}, nil },
		&apiv1.PrometheusVersion{Version: "3.0.0-kongdao", GoVersion: runtime.Version()},
		nil, nil, prometheus.NewRegistry(), prometheus.NewRegistry(), nil,
		false, nil, false, false, false, // no remote write, no OTLP
		lookback(e.cfg.ScrapeInterval), false, false, nil, nil,
		apiv1.OpenAPIOptions{}, e.texts.parser, false, 30*time.Second)
	r := route.New().WithPrefix("/api/v1")
	api.Register(r)
	mux := http.NewServeMux()
	mux.HandleFunc("/", func(w http.ResponseWriter, req *http.Request) {
		if !paths.MatchString(req.URL.Path) {
			http.NotFound(w, req)
			return
		}
		r.ServeHTTP(w, req)
	})
	ok := func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, "OK") }
	mux.HandleFunc("GET /-/healthy", ok)
	mux.HandleFunc("GET /-/ready", ok)
	return mux
}

type noAlertmanagers struct{}

func (noAlertmanagers) Alertmanagers() []*url.URL        { return nil }
func (noAlertmanagers) DroppedAlertmanagers() []*url.URL { return nil }

func serve(ctx context.Context, l net.Listener, h http.Handler) error {
	s := &http.Server{Handler: h, ReadHeaderTimeout: 10 * time.Second}
	done := make(chan error, 1)
	go func() { done <- s.Serve(l) }()
	select {
	case err := <-done:
		return fmt.Errorf("serve queries: %w", err)
	case <-ctx.Done():
	}
	end, cancel := context.WithTimeout(context.WithoutCancel(ctx), time.Second)
	defer cancel()
	if s.Shutdown(end) != nil {
		s.Close()
	}
	<-done //nolint:errcheck // Serve ended because of Shutdown
	return nil
}

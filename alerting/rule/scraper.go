package rule

import (
	"fmt"
	"log/slog"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/config"
	"github.com/prometheus/prometheus/discovery/targetgroup"
	"github.com/prometheus/prometheus/scrape"
	"github.com/prometheus/prometheus/storage"
)

type targetSets = map[string][]*targetgroup.Group

// job is the value of the label job.
const job = "kongdao"

func newScraper(cfg Config, db storage.AppendableV2, log *slog.Logger, reg prometheus.Registerer) (*scraper, error) {
	o := &scrape.Options{ParseST: true, DiscoveryReloadOnStartup: true, DiscoveryReloadInterval: model.Duration(time.Second)}
	m, err := scrape.NewManager(o, log, nil, nil, db, reg)
	if err != nil {
		return nil, fmt.Errorf("make scraper: %w", err)
	}
	conf, err := config.Load(fmt.Sprintf(`
global: {scrape_interval: %s, scrape_timeout: %s}
scrape_configs:
- job_name: %s
  scrape_native_histograms: true
  scrape_protocols: [PrometheusProto, OpenMetricsText1.0.0, PrometheusText0.0.4]
  body_size_limit: 32MB
  sample_limit: 200000
`, model.Duration(cfg.ScrapeInterval), model.Duration(min(cfg.ScrapeInterval, 10*time.Second)), job), log)
	if err != nil {
		return nil, fmt.Errorf("make scrape configuration: %w", err)
	}
	if err := m.ApplyConfig(conf); err != nil {
		return nil, fmt.Errorf("configure scraper: %w", err)
	}
	group := &targetgroup.Group{Source: job}
	for _, t := range cfg.Targets {
		group.Targets = append(group.Targets, model.LabelSet{model.AddressLabel: model.LabelValue(t)})
	}
	return &scraper{m, targetSets{job: {group}}}, nil
}

// start scrapes until the function it returns is called.
func (s *scraper) start(running *sync.WaitGroup) (stop func()) {
	sets := make(chan targetSets, 1) // sent to once
	sets <- s.targets
	running.Go(func() { _ = s.Run(sets) }) // its only end is Stop
	return s.Stop
}

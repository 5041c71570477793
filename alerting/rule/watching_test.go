package rule

import (
	"slices"
	"testing"
)

func TestWatching(t *testing.T) {
	if got := Watching(Pack(), "feed"); !slices.Equal(got, []string{"AllTrafficGone", "CapacityRefusals", "ErrorRate", "GrayWorse", "LatencyHigh", "LatencyStep", "PodOverTarget", "TrafficGone", "ZoneHeadroomShort"}) {
		t.Errorf("the shipped rules: %v", got)
	}
	own := map[string]string{
		"own": `
- name: own
  rules:
  - {alert: Feed, expr: 'sum(rate(kongdao_collector_calls_total{function="feed"}[1m])) == 0'}
  - {alert: FeedOrTour, expr: 'clicks{function=~"feed|tour"} == 0'}
  - {alert: Tour, expr: 'sum(rate(kongdao_collector_calls_total{function="tour"}[1m])) == 0'}
  - {alert: NotFeed, expr: 'kongdao_collector_calls_total{function!="feed"} == 0'}
  - {alert: All, expr: '{__name__="kongdao_collector_refused_calls_total"} > 0 and up == 1'}
  - {alert: Disk, expr: 'kongdao_collector_wal_bytes > 1'}
  - {record: not:an:alert, expr: 'kongdao_collector_calls_total'}
`,
		"broken": "- name: [",
	}
	if got := Watching(own, "feed"); !slices.Equal(got, []string{"All", "Feed", "FeedOrTour"}) {
		t.Errorf("own rules: %v", got)
	}
	if got := Watching(nil, "feed"); len(got) != 0 {
		t.Errorf("no rules: %v", got)
	}
}

package rule

import "time"

// trendCases are packCases of the rules that look back. 120x: ten minutes.
var trendCases = []packCase{
	{
		name: "a function that was called and is not any more, while another is",
		series: `
			kongdao_collector_calls_total{function="feed",code="200"} 0+30x200 6000x20
			kongdao_collector_calls_total{function="rare",code="200"} 0+3x200 600x20
			kongdao_collector_calls_total{function="cart",code="200"} 0+30x220`,
		step: 15 * time.Second,
		at:   53 * time.Minute,
		want: []string{`TrafficGone{function="feed", severity="page"}: no call for a minute; it had 1.9 a second`},
	},
	{
		name: "a function whose counters are gone with a restart, and nobody has called since",
		series: `
			kongdao_collector_calls_total{function="feed",code="200"} 0+30x200 _x20
			kongdao_collector_calls_total{function="cart",code="200"} 0+30x220`,
		step: 15 * time.Second,
		at:   53 * time.Minute,
		want: []string{`TrafficGone{function="feed", severity="page"}: no call for a minute; it had 2.0 a second`},
	},
	{
		name: "no function is called any more: one alert, not one each",
		series: `
			kongdao_collector_wal_budget_bytes 1000x220
			kongdao_collector_calls_total{function="feed",code="200"} 0+30x200 6000x20
			kongdao_collector_calls_total{function="cart",code="200"} 0+60x200 12000x20`,
		step: 15 * time.Second,
		at:   53 * time.Minute,
		want: []string{`AllTrafficGone{severity="page"}: no call for a minute; there were 5.8 a second`},
	},
	{
		name: "a collector that is away says nothing about calls",
		series: `
			kongdao_collector_wal_budget_bytes 1000x200 stale
			kongdao_collector_calls_total{function="feed",code="200"} 0+30x200 stale`,
		step: 15 * time.Second,
		at:   53 * time.Minute,
	},
	{
		name: "a new function without calls",
		series: `
			kongdao_collector_calls_total{function="feed",code="200"} 0x200
			kongdao_collector_calls_total{function="cart",code="200"} 0+10x200`,
		at: 15 * time.Minute,
	},
	{
		name: "calls that take longer from one minute to the next",
		series: `
			kongdao_collector_call_duration_seconds{function="feed"} {{schema:0 sum:0 count:0 buckets:[0]}}+{{schema:0 sum:2 count:20 n_offset:0 offset:-3 buckets:[20]}}x600 {{schema:0 sum:5000 count:12020 offset:-3 buckets:[12000 0 0 20]}}+{{schema:0 sum:10 count:20 offset:-3 buckets:[0 0 0 20]}}x120
			kongdao_collector_calls_total{function="feed",code="200"} 0+20x720`,
		at:   57 * time.Minute,
		want: []string{`LatencyStep{function="feed", severity="ticket"}: the time within which 90 % of its calls end is 8.0 times that of the hour before`},
	},
	{
		name: "calls that always took that long",
		series: `
			kongdao_collector_call_duration_seconds{function="feed"} {{schema:0 sum:0 count:0 buckets:[0]}}+{{schema:0 sum:20 count:20 offset:0 buckets:[20]}}x720
			kongdao_collector_calls_total{function="feed",code="200"} 0+20x720`,
		at: 57 * time.Minute,
	},
	{
		name: "a pod that gets more than its part",
		series: `
			kongdao_xds_limit_requests_per_second{function="feed"} 20x60
			kongdao_xds_ready_pods{function="feed",revision="r1",zone="zb-a"} 2x60
			kongdao_collector_pod_calls_total{function="feed",zone="zb-a",pod="10.0.0.1:80",code="200"} 0+70x60
			kongdao_collector_pod_calls_total{function="feed",zone="zb-a",pod="10.0.0.2:80",code="200"} 0+50x60`,
		at:   4 * time.Minute,
		want: []string{`PodOverTarget{function="feed", pod="10.0.0.1:80", severity="ticket", zone="zb-a"}: 140% of its target`},
	},
	{
		name: "a function that could not lose its larger zone, one that could, one with one zone alone",
		series: `
			kongdao_xds_limit_requests_per_second{function="feed"} 50x120
			kongdao_xds_ready_pods{function="feed",revision="r1",zone="zb-a"} 3x120
			kongdao_xds_ready_pods{function="feed",revision="r1",zone="zb-b"} 2x120
			kongdao_collector_calls_total{function="feed",code="200"} 0+150x120
			kongdao_xds_limit_requests_per_second{function="cart"} 50x120
			kongdao_xds_ready_pods{function="cart",revision="r1",zone="zb-a"} 3x120
			kongdao_xds_ready_pods{function="cart",revision="r1",zone="zb-b"} 2x120
			kongdao_collector_calls_total{function="cart",code="200"} 0+90x120
			kongdao_xds_limit_requests_per_second{function="one"} 50x120
			kongdao_xds_ready_pods{function="one",revision="r1",zone="zb-a"} 3x120
			kongdao_collector_calls_total{function="one",code="200"} 0+150x120`,
		at:   8 * time.Minute,
		want: []string{`ZoneHeadroomShort{function="feed", severity="ticket"}: it is called 150% of what they can take`},
	},
	{
		name: "a gray revision that fails, and one that fails as all do",
		series: `
			kongdao_collector_calls_total{function="feed",revision="r2",code="200"} 0+19x120
			kongdao_collector_calls_total{function="feed",revision="r2",code="500"} 0+1x120
			kongdao_collector_calls_total{function="feed",revision="r1",code="200"} 0+400x120
			kongdao_collector_calls_total{function="cart",revision="r2",code="200"} 0+98x120
			kongdao_collector_calls_total{function="cart",revision="r2",code="500"} 0+1x120
			kongdao_collector_calls_total{function="cart",revision="r1",code="200"} 0+980x120
			kongdao_collector_calls_total{function="cart",revision="r1",code="500"} 0+10x120`,
		at: 8 * time.Minute,
		want: []string{
			`ErrorRate{function="cart", severity="ticket"}: 1.01% of its calls end in 5xx`,
			`GrayWorse{function="feed", revision="r2", severity="page"}: 5% of its calls end in 5xx`,
		},
	},
	{
		name: "a clickhouse that stores slowly, one that is down, rules that cannot be evaluated, no canary",
		series: `
			kongdao_collector_insert_seconds_bucket{table="calls",le="1"} 0x120
			kongdao_collector_insert_seconds_bucket{table="calls",le="5"} 0+5x120
			kongdao_collector_insert_seconds_bucket{table="calls",le="+Inf"} 0+5x120
			kongdao_collector_insert_seconds_bucket{table="logs",le="1"} 0+5x120
			kongdao_collector_insert_seconds_bucket{table="logs",le="+Inf"} 0+5x120
			kongdao_clickhouse_up 0x120
			kongdao_xds_canary_up{instance="a"} 0x120
			kongdao_alerting_failing_rules{instance="a"} 2x120`,
		at: 8 * time.Minute,
		want: []string{
			`CanaryAway{instance="a", severity="ticket"}: `,
			`ClickHouseDown{severity="ticket"}: it is started again by itself`,
			`ClickHouseSlow{severity="ticket", table="calls"}: a tenth of the inserts takes 4.6s or longer`,
			`RulesFailing{instance="a", severity="ticket"}: 2 rules failed when they were last evaluated; kongdao alert rules list says why`,
		},
	},
}

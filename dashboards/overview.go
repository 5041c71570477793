package dashboards

import (
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

const overviewUID = "kongdao-gateway-overview"

// overview is how the gateways and everything behind them are doing.
func overview() *builder {
	p := &page{
		builder: titled("Gateway overview", overviewUID,
			"Calls through all gateways: how many, how many failed or were refused, how long they took; by zone and by function."),
		filters: []string{theseFunctions, theseRevisions, theseZones},
		onward: dashboard.NewDashboardLinkBuilder("Function detail").Type(dashboard.DashboardLinkTypeLink).
			Url("/d/" + functionUID + "?var-datasource=${datasource}&${zone:queryparam}&${__url_time_range}"),
	}
	p.Variables(append(start(),
		several("function", "Function", names("function", ""), "Functions that are counted."),
		several("revision", "Revision", names("revision", "\n  AND "+theseFunctions), "Revisions that are counted."),
		several("zone", "Zone", names("zone", "\n  AND "+theseFunctions), "Zones of the pods that answered; all of them include calls that no pod answered."),
	))
	p.loadTests(p.tested(raw()))
	p.row("Time range in figures")
	p.figures()
	p.number(panel{
		title: "Load tests", unit: rate, width: sixth,
		queries: []string{statement{
			from: rolledUp(), sums: []string{sumCalls}, show: []string{"n / seconds AS value"}, where: p.tested(rolledUp()),
		}.rows()},
		about: "Calls a second that load tests sent, on average over the time range. They are in no other figure of this row.",
	}, calm())
	p.row("Traffic")
	p.outcomes("Calls by outcome", aboutOutcomes, third, p.real(rolledUp()))
	p.lines(panel{
		title: "Errors", unit: share, width: third,
		about: "Share of calls that were answered with a status of 500 or more.",
		queries: []string{statement{
			from: rolledUp(), sums: []string{sumCalls, sumErrors}, where: p.real(rolledUp()), show: []string{errorShare + " AS `error share`"},
		}.lines()},
	}, chart{max: 0.01, colours: colours()})
	p.latencies("Latency", third, p.real(rolledUp()))
	p.row("Zones")
	p.zones()
	p.overviewFunctions()
	p.overviewReasons()
	p.completeness()
	p.overviewLoadTests()
	return p.builder
}

func (p *page) overviewFunctions() {
	p.row("Functions")
	p.table(panel{
		title: "Functions with most calls", unit: count, width: fullWidth,
		about: "The 50 functions with most calls in the time range. A click on a name opens the function.",
		queries: []string{statement{
			from: rolledUp(), by: []string{"r.tenant AS tenant_name", "r.function AS function_name"},
			sums: []string{sumCalls, sumErrors, sumRefused, quantiles}, where: p.real(rolledUp(), "r.function != ''"),
			show: []string{
				"function_name", "tenant_name", "n AS calls", "n / seconds AS calls_s", errorShare + " AS error_share",
				refusedShare + " AS refused_share", median + " AS p50", p90 + " AS p90", p99 + " AS p99",
			},
			order: "calls DESC, function_name\nLIMIT 50",
		}.rows()},
	}, 12,
		column{
			name: "function_name", title: "function", linkTitle: "Detail of this function",
			link: "/d/" + functionUID + "?var-function=${__value.raw:percentencode}&var-datasource=${datasource}&${zone:queryparam}&${__url_time_range}",
		},
		column{name: "tenant_name", title: "tenant"},
		column{name: "calls", title: "calls", unit: count},
		column{name: "calls_s", title: "calls a second", unit: rate},
		column{name: "error_share", title: "errors", unit: share},
		column{name: "refused_share", title: "refused", unit: share},
		column{name: "p50", title: "p50", unit: latency}, column{name: "p90", title: "p90", unit: latency},
		column{name: "p99", title: "p99", unit: latency})
}

func (p *page) overviewReasons() {
	p.row("Refusals and gateways")
	p.refusals(half)
	p.lines(panel{
		title: "Calls by response flags", unit: rate, width: half, queries: []string{p.rawRate("r.flags AS flag_names", "r.flags != ''")},
		about: "Calls a second for which Envoy noted something, by its response flags. The table below says what they mean.",
	}, chart{label: "flag_names", stack: true})
	p.lines(panel{
		title: "Calls by gateway", unit: rate, width: half,
		queries: []string{p.rawRate("if(r.gateway = '', 'unknown', r.gateway) AS gateway_name")},
		about:   "Calls a second that each gateway took.",
	}, chart{label: "gateway_name", stack: true})
	p.table(panel{
		title: "Response flags by gateway", unit: count, width: half,
		about: "What Envoy noted about calls, by gateway: connection failures, timeouts, retries used up, limits.",
		queries: []string{statement{
			from: raw(), by: []string{"r.gateway AS gateway_name", "r.flags AS flag_names"},
			sums:  []string{countCalls, "uniqExact(r.function) AS functions", "max(r.ts) AS latest"},
			where: p.real(raw(), "r.flags != ''"),
			show:  []string{"gateway_name", "flag_names", flagMeanings + " AS meaning", "n AS calls", "functions", "latest"},
			order: "calls DESC\nLIMIT 100",
		}.rows()},
	}, tall,
		column{name: "gateway_name", title: "gateway"}, column{name: "flag_names", title: "flags", width: 90},
		column{name: "meaning", title: "meaning"}, column{name: "calls", title: "calls", unit: count, width: 90},
		column{name: "functions", title: "functions", unit: count, width: 90}, column{name: "latest", title: "latest"})
}

func (p *page) overviewLoadTests() {
	p.row("Load tests, kept apart from everything above")
	p.lines(panel{
		title: "Calls of load tests by function", unit: rate, width: third,
		about: "Calls a second that load tests sent to each function.",
		queries: []string{statement{
			from: rolledUp(), by: []string{functionName}, sums: []string{sumCalls}, where: p.tested(rolledUp()), show: []string{"n / bucket_s AS value"},
		}.lines()},
	}, chart{label: "function_name", stack: true})
	p.latencies("Latency of load tests", third, p.tested(rolledUp()))
	p.table(panel{
		title: "Load test runs", unit: count, width: third,
		about: "Runs whose calls are in the time range. p99 is as the gateway saw it; the report of a run has it from the planned send time.",
		queries: []string{statement{
			from: raw(), by: []string{"r.load_test AS run"},
			sums:  []string{countCalls, countErrors, rawQuantiles, "min(r.ts) AS begin", "any(r.function) AS a_function"},
			where: p.tested(raw()),
			show:  []string{"begin", "run", "a_function", "n AS calls", errorShare + " AS error_share", p99 + " AS p99"},
			order: "begin DESC\nLIMIT 50",
		}.rows()},
	}, tall,
		column{name: "begin", title: "first call"}, column{name: "run", title: "run"}, column{name: "a_function", title: "function"},
		column{name: "calls", title: "calls", unit: count, width: 80}, column{name: "error_share", title: "errors", unit: share, width: 80},
		column{name: "p99", title: "p99", unit: latency, width: 80})
}

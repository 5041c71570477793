package dashboards

import (
	"github.com/grafana/grafana-foundation-sdk/go/dashboard"
)

const functionUID = "kongdao-function-detail"

// functionDetail is everything about one function, down to its calls.
func functionDetail() *builder {
	p := &page{
		builder: titled("Function detail", functionUID,
			"One function: its revisions, zones and pods, how fast it is, what it answers, its slowest and its latest calls."),
		filters: []string{thisFunction, theseRevisions, theseZones},
		onward: dashboard.NewDashboardLinkBuilder("Gateway overview").Type(dashboard.DashboardLinkTypeLink).
			Url("/d/" + overviewUID + "?var-datasource=${datasource}&var-function=${function:percentencode}&${zone:queryparam}&${__url_time_range}"),
	}
	p.Variables(append(start(),
		variable("function", names("function", ""), "The function that is shown.").Label("Function"),
		several("revision", "Revision", names("revision", "\n  AND "+thisFunction), "Revisions that are counted."),
		several("zone", "Zone", names("zone", "\n  AND "+thisFunction), "Zones of the pods that answered; all of them include calls that no pod answered."),
		dashboard.NewTextBoxVariableBuilder("limit").Label("Limit of a pod").DefaultValue(dashboard.StringOrMap{String: new(string)}).
			Description("Calls a second that one pod may get, such as its measured safe rate; drawn beside the rate of each pod. Empty: not drawn."),
	))
	p.loadTests(p.tested(raw()))
	p.row("$function in figures")
	p.figures()
	p.number(panel{
		title: "Bodies", unit: size, width: sixth,
		queries: []string{statement{
			from: rolledUp(), sums: []string{"sum(r.bytes_in) + sum(r.bytes_out) AS bytes_both"},
			where: p.real(rolledUp()), show: []string{"bytes_both AS value"},
		}.rows()},
		about: "Bytes of bodies, of requests and answers together, in the time range.",
	}, calm())
	p.row("Traffic")
	p.outcomes("Calls by outcome", aboutOutcomes, third, p.real(rolledUp()))
	p.latencies("Latency", third, p.real(rolledUp()))
	p.lines(panel{
		title: "Calls by status", unit: rate, width: third,
		about: "Calls a second by the status that the client got. None: the client left before there was one.",
		queries: []string{statement{
			from: rolledUp(), by: []string{"if(r.status = 0, 'none', toString(r.status)) AS code"}, sums: []string{sumCalls},
			where: p.real(rolledUp()), show: []string{"n / bucket_s AS value"},
		}.lines()},
	}, chart{label: "code", stack: true, colours: statusColours()})
	p.row("Revisions and zones")
	p.each("revision", revisionName, "revision_name", "None: no revision was chosen, because the gateway answered itself.")
	p.zones()
	p.functionPods()
	p.functionCalls()
	p.row("Load tests, kept apart from everything above")
	p.outcomes("Calls of load tests by outcome", "Calls of load tests alone. "+aboutOutcomes, half, p.tested(rolledUp()))
	p.latencies("Latency of load tests", half, p.tested(rolledUp()))
	return p.builder
}

func (p *page) functionPods() {
	// A pod gets repeated tries, too; only the last one's pod is known.
	perPod := func(show string, sums ...string) string {
		return statement{
			from: raw(), by: []string{"r.pod AS pod_name"}, sums: sums,
			where: p.real(raw(), "r.pod != ''"), show: []string{show + " AS value"},
		}.lines()
	}
	p.row("Pods and limits")
	p.lines(panel{
		title: "Calls by pod", unit: rate, width: third, queries: []string{perPod("n / bucket_s", countCalls), limitQuery},
		about: "Calls a second that each pod answered, beside the limit of a pod that is set at the top. Points are averages: a burst within one does not show.",
	}, chart{label: "pod_name"})
	p.lines(panel{
		title: "Latency by pod, 99 % of calls", unit: latency, width: third, queries: []string{perPod(p99, countCalls, rawQuantiles)},
		about: "99 % of the calls that each pod answered took at most this long, within 1 %.",
	}, chart{label: "pod_name"})
	p.refusals(third)
}

// limitQuery draws the variable limit from one end of the time range to the
// other. What is no number draws nothing.
const limitQuery = `SELECT arrayJoin([$__fromTime, $__toTime]) AS time, toFloat64OrNull(${limit:sqlstring}) AS limit
WHERE limit IS NOT NULL
ORDER BY time`

func (p *page) functionCalls() {
	p.row("Calls")
	p.table(panel{
		title: "Slowest calls", unit: count, width: fullWidth, queries: []string{slowestQuery},
		about: "The 50 calls that took longest in the time range. Total: from the first byte of the request to the last of the answer; pod: to the first byte from the pod.",
	}, 10,
		column{name: "at", title: "time", width: 190}, column{name: "duration", title: "total", unit: latency, width: 90},
		column{name: "upstream", title: "pod", unit: latency, width: 90}, column{name: "code", title: "status", width: 70},
		column{name: "flag_names", title: "flags", width: 80}, column{name: "tries", title: "attempts", unit: count, width: 80},
		column{name: "revision_name", title: "revision", width: 90}, column{name: "zone_name", title: "zone", width: 80},
		column{name: "pod_name", title: "pod address", width: 150}, column{name: "request", title: "request"},
		column{name: "id", title: "request id"}, column{name: "trace", title: "trace id"})
	p.log(panel{
		title: "Latest calls", unit: words, width: fullWidth, queries: []string{latestQuery},
		about: "The latest 200 calls in the time range, newest first. Open one for all that was logged of it.",
	}, 12)
}

// traceID is empty for a call without one.
const traceID = "if(r.trace_id = toFixedString('', 16), '', lower(hex(r.trace_id)))"

const slowestQuery = `SELECT r.ts AS at, r.duration_us / 1e6 AS duration, r.upstream_us / 1e6 AS upstream,
  toString(r.status) AS code, r.flags AS flag_names, r.attempts AS tries, r.revision AS revision_name,
  r.zone AS zone_name, r.pod AS pod_name, concat(r.method, ' ', r.path) AS request,
  toString(r.request_id) AS id, ` + traceID + ` AS trace
FROM calls AS r
WHERE $__timeFilter_ms(ts)
  AND r.load_test = ''
  AND ` + thisFunction + `
  AND ` + theseRevisions + `
  AND ` + theseZones + `
ORDER BY r.duration_us DESC, r.ts DESC
LIMIT 50`

const latestQuery = `SELECT r.ts AS timestamp,
  concat(toString(r.status), ' ', r.method, ' ', r.path, ' ', toString(r.duration_us / 1000), ' ms',
    if(r.flags = '', '', concat(' ', r.flags)), if(r.limited_by = '', '', concat(' limit: ', r.limited_by))) AS body,
  multiIf(r.status >= 500, 'error', r.status >= 400 OR r.status = 0, 'warning', 'info') AS level,
  r.revision AS revision_name, r.zone AS zone_name, r.pod AS pod_name, r.gateway AS gateway_name,
  toString(r.request_id) AS request_id, ` + traceID + ` AS trace_id,
  replaceOne(toString(r.client_ip), '::ffff:', '') AS client, r.consumer AS consumer_name, r.attempts AS tries,
  toString(r.attrs) AS attributes
FROM calls AS r
WHERE $__timeFilter_ms(ts)
  AND r.load_test = ''
  AND ` + thisFunction + `
  AND ` + theseRevisions + `
  AND ` + theseZones + `
ORDER BY r.ts DESC
LIMIT 200`

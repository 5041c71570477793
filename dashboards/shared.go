package dashboards

// Panels that both dashboards have.

// figures are the averages over the time range that everybody looks at first.
func (p *page) figures() {
	one := func(show string, sums ...string) []string {
		return []string{statement{from: rolledUp(), sums: sums, where: p.real(rolledUp()), show: []string{show + " AS value"}}.rows()}
	}
	p.number(panel{
		title: "Calls", unit: rate, width: sixth, queries: one("n / seconds", sumCalls),
		about: "Calls a second, on average over the time range. Load tests are not counted.",
	}, calm())
	p.number(panel{
		title: "Errors", unit: share, width: sixth, queries: one(errorShare, sumCalls, sumErrors),
		about: "Share of calls that were answered with a status of 500 or more.",
	}, levels(0.001, 0.01))
	p.number(panel{
		title: "Refused by limits", unit: share, width: sixth, queries: one(refusedShare, sumCalls, sumRefused),
		about: "Share of calls that a limit of the gateway refused, so that pods were not asked for more than they can take.",
	}, levels(0.0001, 0.05))
	p.number(panel{
		title: "Latency, half of calls", unit: latency, width: sixth, queries: one(median, sumCalls, quantiles),
		about: "Half of the calls took at most this long, from the first byte of the request to the last byte of the answer. Within 1 %.",
	}, calm())
	p.number(panel{
		title: "Latency, 99 % of calls", unit: latency, width: sixth, queries: one(p99, sumCalls, quantiles),
		about: "99 % of the calls took at most this long. Within 1 %.",
	}, calm())
}

const aboutOutcomes = "Answered: a status below 500. Refused: by a limit of the gateway. Failed: a status of 500 or more. " +
	"Client left: before it was answered. Together they are all calls."

// outcomes are lines that add up to all calls.
func (p *page) outcomes(title, about string, width uint32, where []string) {
	p.lines(panel{
		title: title, unit: rate, width: width, about: about,
		queries: []string{statement{
			from: rolledUp(), sums: []string{sumCalls, sumRefused, sumFailed, sumLeft}, where: where,
			show: []string{
				"(n - limited_n - failed_n - left_n) / bucket_s AS answered", "limited_n / bucket_s AS refused",
				"failed_n / bucket_s AS failed", "left_n / bucket_s AS `client left`",
			},
		}.lines()},
	}, chart{stack: true, colours: colours()})
}

func (p *page) latencies(title string, width uint32, where []string) {
	p.lines(panel{
		title: title, unit: latency, width: width,
		about: "50, 90 and 99 % of the calls took at most this long, each within 1 %, as the gateway saw it.",
		queries: []string{statement{
			from: rolledUp(), sums: []string{sumCalls, quantiles}, where: where,
			show: []string{median + " AS p50", p90 + " AS p90", p99 + " AS p99"},
		}.lines()},
	}, chart{colours: colours()})
}

// each are calls, errors and latency with a line for each of by; label is what
// by calls them.
func (p *page) each(what, by, label, note string) {
	lines := func(show string, sums ...string) []string {
		return []string{statement{
			from: rolledUp(), by: []string{by}, sums: sums, where: p.real(rolledUp()), show: []string{show + " AS value"},
		}.lines()}
	}
	p.lines(panel{
		title: "Calls by " + what, unit: rate, width: third, queries: lines("n / bucket_s", sumCalls),
		about: "Calls a second by " + what + ". " + note,
	}, chart{label: label, stack: true})
	p.lines(panel{
		title: "Errors by " + what, unit: share, width: third, queries: lines(errorShare, sumCalls, sumErrors),
		about: "Share of each " + what + "'s calls with a status of 500 or more. " + note,
	}, chart{label: label, max: 0.01})
	p.lines(panel{
		title: "Latency by " + what + ", 99 % of calls", unit: latency, width: third, queries: lines(p99, sumCalls, quantiles),
		about: "99 % of each " + what + "'s calls took at most this long, within 1 %. " + note,
	}, chart{label: label})
}

func (p *page) zones() {
	p.each("zone", zoneName, "zone_name", "The zone is that of the pod that answered; gateway: no pod did, as with refused calls.")
}

func (p *page) refusals(width uint32) {
	p.lines(panel{
		title: "Refusals by limit", unit: rate, width: width,
		about:   "Calls a second that a limit refused. Capacity: more than the ready pods can take. Concurrency: too many in flight.",
		queries: []string{p.rawRate("r.limited_by AS limited", "r.limited_by != ''")},
	}, chart{label: "limited", stack: true, colours: limitColours()})
}

// rawRate is calls a second with a line for each of by, for what only the table
// calls has.
func (p *page) rawRate(by string, more ...string) string {
	return statement{
		from: raw(), by: []string{by}, sums: []string{countCalls}, where: p.real(raw(), more...),
		show: []string{"n / bucket_s AS value"},
	}.lines()
}

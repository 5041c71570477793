package dashboards

// accounts are the minutes of gateways, each once however often it was looked at.
func accounts() table { return table{name: "(SELECT * FROM completeness FINAL)", time: "minute"} }

// Aggregates over minutes of gateways, and values made of them.
const (
	sumCounted = "sum(greatest(r.counted, r.received) + r.estimated) AS n"
	sumMissing = "sum(r.lost + r.unstored + r.estimated) AS missing"

	missingShare = "if(n = 0, NULL, missing / n)"
)

// completeness is how much of what gateways counted is stored.
func (p *page) completeness() {
	p.row("Completeness of the call log")
	p.lines(panel{
		title: "Missing calls", unit: share, width: half,
		about: "Share of the calls that a gateway counted itself and that are not stored, minute by minute: lost before they came out of its log, " +
			"refused by ClickHouse, or estimated when it was killed. Calls that are late are not in it.",
		queries: []string{statement{
			from: accounts(), by: []string{"r.gateway AS gateway_name"}, sums: []string{sumCounted, sumMissing}, where: []string{"r.settled"},
			show: []string{missingShare + " AS value"},
		}.lines()},
	}, chart{label: "gateway_name", max: 0.001})
	p.table(panel{
		title: "Completeness by gateway", unit: count, width: half,
		about: "Calls in the time range as each gateway counted them, and how many are missing, by where. Late ones are still expected.",
		queries: []string{statement{
			from: accounts(), by: []string{"r.gateway AS gateway_name", "r.gateway_zone AS zone_name"},
			sums: []string{
				sumCounted, sumMissing, "sum(r.lost) AS lost_n", "sum(r.unstored) AS unstored_n", "sum(r.estimated) AS estimated_n",
				"sum(r.late) AS late_n", "sum(r.dropped) AS dropped_n",
			},
			where: []string{"r.counted >= 0"},
			show: []string{
				"gateway_name", "zone_name", "n AS calls", missingShare + " AS missing_share", "lost_n AS lost", "unstored_n AS unstored",
				"estimated_n AS killed", "late_n AS late", "dropped_n AS dropped",
			},
			order: "missing_share DESC, gateway_name\nLIMIT 100",
		}.rows()},
	}, tall,
		column{name: "gateway_name", title: "gateway"}, column{name: "zone_name", title: "zone"},
		column{name: "calls", title: "calls", unit: count}, column{name: "missing_share", title: "missing", unit: share},
		column{name: "lost", title: "lost by the gateway's log", unit: count}, column{name: "unstored", title: "not in ClickHouse", unit: count},
		column{name: "killed", title: "of a killed gateway, estimated", unit: count}, column{name: "late", title: "late", unit: count},
		column{name: "dropped", title: "dropped, it says", unit: count})
}

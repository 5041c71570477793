package completeness

import "time"

// Row is the account of a gateway over one minute, and a row of the table
// completeness. Its calls are those that ended after Since and up to Until: the
// minute, as exactly as the gateway's counters were read.
type Row struct {
	Minute      time.Time `ch:"minute" json:"minute"`
	Gateway     string    `ch:"gateway" json:"gateway"`
	GatewayZone string    `ch:"gateway_zone" json:"gateway_zone"`
	Since       time.Time `ch:"since" json:"since"`
	Until       time.Time `ch:"until" json:"until"`
	Counted     int64     `ch:"counted" json:"counted"`     // calls that the gateway counted
	Received    int64     `ch:"received" json:"received"`   // calls that came out of its log
	Lost        int64     `ch:"lost" json:"lost"`           // counted and never received
	Late        int64     `ch:"late" json:"late"`           // counted, not received, and not given up yet
	Rows        int64     `ch:"rows" json:"rows"`           // rows made of what was received; sampling makes fewer
	Stored      int64     `ch:"stored" json:"stored"`       // rows that ClickHouse has
	Unstored    int64     `ch:"unstored" json:"unstored"`   // rows that it should have, and has not
	Estimated   int64     `ch:"estimated" json:"estimated"` // calls that a gateway took with it when it was killed, by its rate
	InFlight    int64     `ch:"in_flight" json:"in_flight"` // calls that its death cut off
	Dropped     int64     `ch:"dropped" json:"dropped"`     // log entries that the gateway says it dropped
	Settled     bool      `ch:"settled" json:"settled"`     // nothing more is expected
	Completed   int64     `ch:"completed" json:"-"`         // the gateway's counter at Until
	Uptime      int64     `ch:"uptime" json:"-"`            // of the gateway at Until, seconds
}

// Calls is how many calls there were, as far as anybody knows.
func (r Row) Calls() int64 { return max(r.Counted, r.Received) + r.Estimated }

// Missing is how many of them are known or estimated to be in no table.
func (r Row) Missing() int64 { return r.Lost + r.Unstored + r.Estimated }

// Ratio is the share of calls that are stored; 1 when there were none.
func (r Row) Ratio() float64 { return Ratio(r.Missing(), r.Calls()) }

// Ratio is the share of calls that are not missing; 1 when there were none.
func Ratio(missing, calls int64) float64 {
	if calls <= 0 {
		return 1
	}
	return 1 - min(1, float64(missing)/float64(calls))
}

// mark is the interval of a row that was stored by an earlier collector.
func (r Row) mark() mark {
	return mark{
		at: r.Until.UnixMicro(), counted: r.Counted, received: r.Received, rows: r.Rows, dropped: r.Dropped,
		estimate: r.Estimated, cut: r.InFlight, completed: r.Completed, uptime: r.Uptime, shared: !r.Settled, edge: true,
	}
}

// sample is what the gateway counted at its end.
func (r Row) sample() Sample {
	return Sample{
		Gateway: r.Gateway, Zone: r.GatewayZone, Time: r.Until,
		Total: uint64(max(0, r.Completed)), Uptime: time.Duration(r.Uptime) * time.Second,
	}
}

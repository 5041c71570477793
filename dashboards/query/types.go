package query

import "time"

// Type is what is asked.
type Type string

// Types of queries. Each says what its frames hold; see [View] for their shapes.
const (
	Calls        Type = "calls"        // single calls, the newest first
	Rate         Type = "rate"         // calls a second
	Errors       Type = "errors"       // share of calls with status 500 and above
	Latency      Type = "latency"      // quantiles of durations, seconds; or their distribution
	Compare      Type = "compare"      // a revision against another one, with the verdict of the sequential test
	Slowest      Type = "slowest"      // single calls, the longest first
	Top          Type = "top"          // those with most of a measure
	ColdStarts   Type = "coldStarts"   // first calls of pods
	Capacity     Type = "capacity"     // used rate against safe rate per pod
	Headroom     Type = "headroom"     // what each zone could take if another one went
	Completeness Type = "completeness" // calls counted by gateways against calls stored
	Refusals     Type = "refusals"     // calls refused, by limit
	Crawlers     Type = "crawlers"     // calls of crawlers, by name
	Graph        Type = "graph"        // gateway, function, zone, pod: who called whom
	Annotations  Type = "annotations"  // what was changed: releases, traffic, drills, load tests, alerts
	Values       Type = "values"       // names to choose from: tenants, functions, revisions, zones
	LoadRuns     Type = "loadRuns"     // runs of load tests with their results
	Drills       Type = "drills"       // drills of zones with their steps
	Deliveries   Type = "deliveries"   // messages about alerts: sent, refused, late
	Scorecard    Type = "scorecard"    // functions, scenarios, calls a day, error share, p99, by domain
)

// View is the shape of the answer.
type View string

// Views. A type has one that it takes when none is asked for.
const (
	Lines   View = "lines"  // values over time: a frame with a time field and a number field for each line
	Rows    View = "rows"   // a table for the whole range
	Heat    View = "heat"   // counts by time and duration bucket (Latency)
	LogRows View = "logs"   // Grafana's log lines (Calls)
	Nodes   View = "nodes"  // Grafana's node graph: a frame nodes and a frame edges (Graph)
	Volume  View = "volume" // calls by outcome over time, for the histogram above log lines (Calls)
)

// Query is what is asked, as it stands in dashboards and comes from Grafana. The
// zero value of each field but Type asks for everything, or for what is usual.
// Names may be a variable of Grafana, such as $function, until it is filled in.
type Query struct {
	Type Type `json:"queryType"`
	View View `json:"view,omitempty"`

	Tenants   []string `json:"tenants,omitempty"`
	Functions []string `json:"functions,omitempty"`
	Revisions []string `json:"revisions,omitempty"`
	Zones     []string `json:"zones,omitempty"` // of the pods that answered
	Filter    Filter   `json:"filter,omitzero"`

	By        string    `json:"by,omitempty"`        // a line or row for each: see [Dimensions]; empty: one for all
	Measure   string    `json:"measure,omitempty"`   // Top: calls, errors, refused, p50, p90, p99 or bytes
	Quantiles []float64 `json:"quantiles,omitempty"` // Latency: above 0 and below 1; none: 0.5, 0.9, 0.99
	Limit     int       `json:"limit,omitempty"`     // rows, lines or calls at most; 0: what is usual for the type

	Base      string `json:"base,omitempty"`      // Compare: the revision that is compared with; empty: the one with most calls
	Candidate string `json:"candidate,omitempty"` // Compare: the other one; empty: the newest

	Field  string   `json:"field,omitempty"`  // Values: tenant, function, revision, zone, pod, gateway, consumer, limit, loadRun
	Search string   `json:"search,omitempty"` // Values: a part of the name, case ignored
	Kinds  []string `json:"kinds,omitempty"`  // Annotations: release, traffic, drill, loadTest, alert; none: all
	Around string   `json:"around,omitempty"` // Calls: request id; the calls before and after it
}

// Filter chooses single calls. Where a field is set that rollups have no column for,
// calls are read. Zero fields choose all, but for calls of load tests.
type Filter struct {
	Pod         string `json:"pod,omitempty"`
	Gateway     string `json:"gateway,omitempty"`
	Consumer    string `json:"consumer,omitempty"`
	Method      string `json:"method,omitempty"`
	Host        string `json:"host,omitempty"`
	PathPrefix  string `json:"pathPrefix,omitempty"`
	Path        string `json:"path,omitempty"`        // a part of the path or of its query
	Status      string `json:"status,omitempty"`      // 429, 5xx, >=400, 400-499 or failed
	LimitedBy   string `json:"limitedBy,omitempty"`   // the limit that refused the call; any: one of them
	MinDuration string `json:"minDuration,omitempty"` // such as 250ms
	RequestID   string `json:"requestId,omitempty"`
	TraceID     string `json:"traceId,omitempty"`   // 32 hex digits
	UserAgent   string `json:"userAgent,omitempty"` // a part of it, case ignored
	LoadRun     string `json:"loadRun,omitempty"`   // calls of this run of a load test alone
	LoadTests   bool   `json:"loadTests,omitempty"` // calls of load tests, too
}

// Range is the time that is asked about.
type Range struct {
	From, To  time.Time
	Interval  time.Duration // between points of a line as a panel would have it; 0: about 60 points
	MaxPoints int           // of a line; 0: 1000
}

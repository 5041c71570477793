package api

// Sticky names what keeps a caller on one revision while weights change: the
// value of a header or of a cookie. Callers without it are drawn anew each time.
type Sticky struct {
	Header string `yaml:"header" json:"header,omitempty"`
	Cookie string `yaml:"cookie" json:"cookie,omitempty"`
}

// Users is a list of callers, by the value of a header or of a cookie.
type Users struct {
	Header string   `yaml:"header" json:"header,omitempty"`
	Cookie string   `yaml:"cookie" json:"cookie,omitempty"`
	In     []string `yaml:"in" json:"in"` // exact values, up to MaxUsers
}

// MaxUsers bounds a list of users; the gateway holds the list once for each route
// and key of the function, about 100 bytes a user.
const MaxUsers = 10_000

// Release moves a function's traffic to a revision step by step, as long as the
// revision is not worse than the one it takes over from.
type Release struct {
	Revision string   `yaml:"revision" json:"revision"`                                                      // takes over
	Steps    []int    `yaml:"steps" json:"steps,omitempty" want:"whole numbers from 1 to 100, the last 100"` // percent, rising; empty: 1, 5, 20, 50, 100
	Interval Duration `yaml:"interval" json:"interval"`                                                      // of each step at least; 0: 5 m
	MinCalls int      `yaml:"minCalls" json:"minCalls" want:"a whole number, 0 or more"`                     // of the revision in a step before the next one; 0: 50

	// MaxErrorIncrease is how much the share of the revision's calls that end in
	// 5xx may be above that of the old one, in points: with 1 % errors before and
	// 0.5 % here, up to 1.5 % is no reason to roll back. 0: 1 %.
	MaxErrorIncrease Percent        `yaml:"maxErrorIncrease" json:"maxErrorIncrease"`
	Latency          ReleaseLatency `yaml:"latency" json:"latency"`
}

// ReleaseLatency judges a revision by the share of its calls that are slow.
type ReleaseLatency struct {
	Slow        Duration `yaml:"slow" json:"slow"`               // calls that take longer are slow; 0: the objective's p99, and without one latency is not judged
	MaxIncrease Percent  `yaml:"maxIncrease" json:"maxIncrease"` // of the share of slow calls, in points; 0: 5 %
}

package api

// Version is the apiVersion of every resource.
const Version = "kongdao.io/v1"

// Kinds of resources.
const (
	KindFunction     = "Function"
	KindZone         = "Zone"
	KindGatewayGroup = "GatewayGroup"
	KindConsumer     = "Consumer"
	KindLimit        = "Limit"
	KindAlertRule    = "AlertRule"
	KindRobot        = "Robot"
	KindScenario     = "Scenario"
)

// Set is everything that is configured at one moment, sorted by name within a kind.
type Set struct {
	Functions     []*Function
	Zones         []*Zone
	GatewayGroups []*GatewayGroup
	Consumers     []*Consumer
	Limits        []*Limit
	AlertRules    []*AlertRule
	Robots        []*Robot
	Channels      []*Channel
	Scenarios     []*Scenario
	Certificates  []*Certificate

	TrafficSwitches []*TrafficSwitch

	People  []*Person
	Teams   []*Team
	OnCalls []*OnCall

	// Broken are the resources, as "Kind/name", that were written but left out for
	// their problems, so that naming them is no second problem.
	Broken []string `json:"-"`
}

// Function returns the function of that name, or nil.
func (s Set) Function(name string) *Function {
	for _, f := range s.Functions {
		if f.Name == name {
			return f
		}
	}
	return nil
}

// Metadata names a resource.
type Metadata struct {
	Name   string            `yaml:"name" json:"name"`             // [a-z0-9-], at most 63, unique within its kind
	Tenant string            `yaml:"tenant" json:"tenant"`         // who is billed; "default" when not given
	Labels map[string]string `yaml:"labels" json:"labels"`         // free, such as scenario and domain
	Owner  string            `yaml:"owner" json:"owner,omitempty"` // who is called when it breaks

	Source Source `yaml:"-" json:"source"`
	Lines  Lines  `yaml:"-" json:"-"` // where each field was written; nil for resources that were not parsed
}

// Function is a set of pods behind routes, in revisions.
type Function struct {
	Metadata `yaml:"metadata" json:"metadata"`
	Spec     FunctionSpec `yaml:"spec" json:"spec"`
}

// FunctionSpec says how a function is reached, released and protected.
type FunctionSpec struct {
	Description string        `yaml:"description" json:"description,omitempty"`
	Routes      []Route       `yaml:"routes" json:"routes"`
	Revisions   []Revision    `yaml:"revisions" json:"revisions"`
	Traffic     []Traffic     `yaml:"traffic" json:"traffic"`           // empty: everything to the last revision
	Sticky      *Sticky       `yaml:"sticky" json:"sticky,omitempty"`   // nil: each call is drawn by weight
	Release     *Release      `yaml:"release" json:"release,omitempty"` // nil: weights change by hand alone
	Objective   Objective     `yaml:"objective" json:"objective"`
	Capacity    Capacity      `yaml:"capacity" json:"capacity"`
	Timeout     Duration      `yaml:"timeout" json:"timeout"`       // of a whole call, retries included; 0: 15 s
	TryTimeout  Duration      `yaml:"tryTimeout" json:"tryTimeout"` // of one try; 0: none beyond Timeout
	Idempotent  bool          `yaml:"idempotent" json:"idempotent"` // a request that was sent may be sent again
	HealthCheck HealthCheck   `yaml:"healthCheck" json:"healthCheck"`
	Access      *Access       `yaml:"access" json:"access,omitempty"` // nil: closed, the gateway answers 403
	Retries     Retries       `yaml:"retries" json:"retries,omitzero"`
	Mirror      []Mirror      `yaml:"mirror" json:"mirror,omitempty"`
	Priority    string        `yaml:"priority" json:"priority,omitempty" want:"high, normal or low"`             // of requests whose route and consumer say nothing; empty: normal
	Limits      []CallerLimit `yaml:"limits" json:"limits,omitempty"`                                            // rates that callers are held to, each on its own
	Concurrency int           `yaml:"concurrency" json:"concurrency,omitempty" want:"a whole number, 0 or more"` // requests in flight over all gateways; 0: not limited
	LoadTest    *LoadTests    `yaml:"loadTest" json:"loadTest,omitempty"`                                        // calls of stress tests; nil: as all others

	Handling // of every route that says nothing else
}

// Route is one way in. All given conditions must hold.
type Route struct {
	Hosts   []string           `yaml:"hosts" json:"hosts"`     // exact, or *.example.com, or *; empty: *
	Path    string             `yaml:"path" json:"path"`       // /exact, /prefix/*, or /items/{id}
	Methods []string           `yaml:"methods" json:"methods"` // empty: any
	Headers map[string]Matcher `yaml:"headers" json:"headers,omitempty"`
	Query   map[string]Matcher `yaml:"query" json:"query,omitempty"` // of parameters as they stand in the URL; of equal ones the first counts

	Rewrite     string    `yaml:"rewrite" json:"rewrite,omitempty"`                              // the path that pods see, such as /v2/{id} or /v2/*; empty: as it came
	RewriteHost string    `yaml:"rewriteHost" json:"rewriteHost,omitempty"`                      // the host that pods see; empty: as it came
	Redirect    *Redirect `yaml:"redirect" json:"redirect,omitempty"`                            // the gateway sends callers elsewhere
	Respond     *Respond  `yaml:"respond" json:"respond,omitempty"`                              // the gateway answers
	Websocket   bool      `yaml:"websocket" json:"websocket,omitempty"`                          // only websockets take this route
	Timeout     Duration  `yaml:"timeout" json:"timeout,omitempty"`                              // of a whole call; 0: the function's
	TryTimeout  Duration  `yaml:"tryTimeout" json:"tryTimeout,omitempty"`                        // of one try; 0: the function's
	Priority    string    `yaml:"priority" json:"priority,omitempty" want:"high, normal or low"` // empty: the function's

	Handling

	Source Source `yaml:"-" json:"source"`
}

// Revision is an immutable release of a function: once it was published, nothing
// but its endpoints, which are where its pods are, may change under its name.
type Revision struct {
	Name      string            `yaml:"name" json:"name"`
	Image     string            `yaml:"image" json:"image,omitempty"`                                // what it runs: an image with its digest, a commit, the hash of a file
	Labels    map[string]string `yaml:"labels" json:"labels,omitempty"`                              // free
	Protocol  Protocol          `yaml:"protocol" json:"protocol,omitempty" want:"http1, h2 or grpc"` // what pods speak; empty: http1
	Endpoints []Endpoint        `yaml:"endpoints" json:"endpoints"`

	Source Source `yaml:"-" json:"source"`
}

// Endpoint is one pod.
type Endpoint struct {
	Address string `yaml:"address" json:"address"` // host:port
	Zone    string `yaml:"zone" json:"zone"`
}

// Traffic sends a share of the calls, or those that match, to a revision.
type Traffic struct {
	Revision string        `yaml:"revision" json:"revision"`
	Weight   int           `yaml:"weight" json:"weight" want:"a whole number from 0 to 100"` // percent; entries without Match add up to 100
	Match    *TrafficMatch `yaml:"match" json:"match,omitempty"`
}

// TrafficMatch picks calls: all that is given must hold.
type TrafficMatch struct {
	Headers map[string]string `yaml:"headers" json:"headers"`           // exact values
	Cookies map[string]string `yaml:"cookies" json:"cookies,omitempty"` // exact values
	Users   *Users            `yaml:"users" json:"users,omitempty"`     // one of a list
}

// Objective is what a function promises. The zero value promises nothing.
type Objective struct {
	Latency LatencyObjective `yaml:"latency" json:"latency"`
	Success Percent          `yaml:"success" json:"success"` // share of calls that do not end in 5xx; 0: none
}

// LatencyObjective bounds percentiles of the call's duration; 0 means no bound.
type LatencyObjective struct {
	P50 Duration `yaml:"p50" json:"p50,omitempty"`
	P90 Duration `yaml:"p90" json:"p90,omitempty"`
	P99 Duration `yaml:"p99" json:"p99,omitempty"`
}

// Capacity is what one pod may be given.
type Capacity struct {
	PerPodQPS float64   `yaml:"perPodQPS" json:"perPodQPS" want:"requests a second above 0"` // requests a second; 0: not limited
	Headroom  float64   `yaml:"headroom" json:"headroom" want:"a number above 0, up to 1"`   // share of PerPodQPS that is admitted, in (0,1]; 0: 1
	Measured  *Measured `yaml:"measured" json:"measured,omitempty"`
	Workers   int       `yaml:"workers" json:"workers,omitempty" want:"a whole number from 0 to 10000"` // calls that a pod works on at a time while others wait; 0: not known
	Forecast  float64   `yaml:"forecastQPS" json:"forecastQPS" want:"requests a second, 0 or more"`     // the peak to plan for, requests a second; 0: none
}

// Rate is the rate that one ready pod is given, requests a second; 0: not limited.
func (c Capacity) Rate() float64 {
	if c.Headroom == 0 {
		return c.PerPodQPS
	}
	return c.PerPodQPS * c.Headroom
}

// Measured says how PerPodQPS was found.
type Measured struct {
	Date string  `yaml:"date" json:"date"`                                  // YYYY-MM-DD
	Low  float64 `yaml:"low" json:"low" want:"requests a second above 0"`   // bounds of the interval, requests a second
	High float64 `yaml:"high" json:"high" want:"requests a second above 0"` // 0: not found
	Run  string  `yaml:"run" json:"run,omitempty"`

	Revision string `yaml:"revision" json:"revision,omitempty"` // whose pod it was; empty: what the run's calls say
}

// HealthCheck says how a pod shows that it is ready. Without a path a TCP
// connection is enough.
type HealthCheck struct {
	Path string `yaml:"path" json:"path,omitempty"` // answers 200 when ready
}

// Zone is a place that can be lost as a whole.
type Zone struct {
	Metadata `yaml:"metadata" json:"metadata"`
	Spec     ZoneSpec `yaml:"spec" json:"spec"`
}

// ZoneSpec says how traffic prefers a zone.
type ZoneSpec struct {
	Priority uint32 `yaml:"priority" json:"priority" want:"a whole number from 0 to 127"` // 0 first; among zones of equal priority a gateway prefers its own
	Weight   int    `yaml:"weight" json:"weight" want:"a whole number from 0 to 100"`     // percent of its even share that each pod takes; 0: 100, and not drained: see kongdao zone drain
}

// AlertRule is a Prometheus rule file in a resource.
type AlertRule struct {
	Metadata `yaml:"metadata" json:"metadata"`
	Spec     AlertRuleSpec `yaml:"spec" json:"spec"`
}

// AlertRuleSpec is Prometheus' own format, kept as text: Groups is a whole rule
// file, from the key "groups:" on. Line n of Groups is line Line+n-1 of the
// resource's file. LogGroups are groups of the same shape whose expr is SQL, from
// the key "logGroups:" on. One of the two may be empty.
type AlertRuleSpec struct {
	Groups    string `yaml:"-" json:"groups,omitempty"`
	Line      int    `yaml:"-" json:"-"`
	LogGroups string `yaml:"-" json:"logGroups,omitempty"`
	LogLine   int    `yaml:"-" json:"-"`
}

// Robot is a DingTalk group robot.
type Robot struct {
	Metadata `yaml:"metadata" json:"metadata"`
	Spec     RobotSpec `yaml:"spec" json:"spec"`
}

// RobotSpec is where a robot listens and how messages to it are signed.
type RobotSpec struct {
	URL    Secret `yaml:"url" json:"url"`       // holds the access token, hence a secret
	Secret Secret `yaml:"secret" json:"secret"` // empty: messages are not signed
	// App makes the robot an app's, whose messages are cards with buttons. URL may be
	// empty then; otherwise it takes what the app refuses.
	App *RobotApp `yaml:"app" json:"app,omitempty"`
}

package api

// Scenario is a load test.
type Scenario struct {
	Metadata `yaml:"metadata" json:"metadata"`
	Spec     ScenarioSpec `yaml:"spec" json:"spec"`
}

// ScenarioSpec says what is sent, how fast, and what must hold.
//
// What is sent are targets, in turn, or steps, one after the other for each moment
// of the plan, or scenarios, each with targets or steps of its own. URL, headers,
// body and messages may hold {{…}}: fields of data files ({{.users.id}}), values that
// earlier steps extracted ({{.token}}), and {{seq}}, {{uuid}}, {{randInt 1 100}},
// {{randString 8}}, {{now}}, {{unix}}, {{unixMilli}}; "| query" and "| json" escape.
type ScenarioSpec struct {
	Targets    []Target        `yaml:"targets" json:"targets,omitempty"`                                       // sent in turn
	Steps      []Target        `yaml:"steps" json:"steps,omitempty"`                                           // instead of targets: all of them, in their order, each time
	Scenarios  []SubScenario   `yaml:"scenarios" json:"scenarios,omitempty"`                                   // instead of both: several at once
	Stages     []Stage         `yaml:"stages" json:"stages,omitempty"`                                         // one after the other
	Workers    int             `yaml:"workers" json:"workers" want:"a whole number from 0 to 10000"`           // requests in flight at most; 0: 16
	Timeout    Duration        `yaml:"timeout" json:"timeout"`                                                 // of one request; 0: 10 s
	Arrivals   string          `yaml:"arrivals" json:"arrivals" want:"constant or poisson"`                    // "constant" (default) or "poisson"
	Thresholds []string        `yaml:"thresholds" json:"thresholds"`                                           // such as "p99 < 120ms", "success > 99.9%", "p99{tag=search} < 200ms"
	Data       map[string]Feed `yaml:"data" json:"data,omitempty"`                                             // data files by the name that templates call them
	HTTP2      bool            `yaml:"http2" json:"http2,omitempty"`                                           // HTTP/2 alone, also without TLS, for all targets; default: HTTP/1.1
	TLS        ScenarioTLS     `yaml:"tls" json:"tls,omitzero"`                                                // which certificates are trusted
	Limits     ScenarioLimits  `yaml:"limits" json:"limits,omitzero"`                                          // caps of its own, below those of loadtest in kongdao.yaml
	Canary     ScenarioCanary  `yaml:"canary" json:"canary,omitzero"`                                          // a first phase at a hundredth of the peak rate
	MaxAnswer  int             `yaml:"maxAnswer" json:"maxAnswer,omitempty" want:"bytes from 0 to 1073741824"` // bytes of an answer's body; more is a failure; 0: 32 MiB
}

// ScenarioLimits end a run that is about to do more.
type ScenarioLimits struct {
	MaxBytes Size `yaml:"maxBytes" json:"maxBytes,omitempty"` // received and sent over all connections, headers included; 0: loadtest.maxBytes
}

// ScenarioCanary is the phase in which a run tries out whether its target answers well
// before it begins. Without it: 5 s where a target is another machine.
type ScenarioCanary struct {
	Phase Duration `yaml:"phase" json:"phase,omitempty"` // how long
	Off   bool     `yaml:"off" json:"off,omitempty"`     // there is none
}

// SubScenario is one of several scenarios that run at once: with stages a plan of
// its own, without them a share of the whole's stages.
type SubScenario struct {
	Name       string   `yaml:"name" json:"name"`                                              // in results and thresholds: {scenario=name}
	Weight     float64  `yaml:"weight" json:"weight,omitempty" want:"a number above 0"`        // its share of the whole's stages, against the others' weights; 0: 1
	Start      Duration `yaml:"start" json:"start,omitempty"`                                  // when its own stages begin
	Stages     []Stage  `yaml:"stages" json:"stages,omitempty"`                                // its own plan
	Arrivals   string   `yaml:"arrivals" json:"arrivals,omitempty" want:"constant or poisson"` // of its own plan; default: the whole's
	Targets    []Target `yaml:"targets" json:"targets,omitempty"`                              // sent in turn
	Steps      []Target `yaml:"steps" json:"steps,omitempty"`                                  // instead of targets: all of them, in their order, each time
	Thresholds []string `yaml:"thresholds" json:"thresholds,omitempty"`                        // of this scenario alone
}

// Target is one kind of request. The scheme of its URL is the protocol: http or
// https; ws or wss for websockets; grpc or grpcs, such as
// grpc://127.0.0.1:9000/shop.Items/Get, for a unary call or a server's stream, with
// the body as the message in JSON and the headers as metadata.
type Target struct {
	Name        string             `yaml:"name" json:"name,omitempty"` // in results and thresholds: {target=name}; default: method and path
	Tags        []string           `yaml:"tags" json:"tags,omitempty"` // in results and thresholds: {tag=name}
	Method      string             `yaml:"method" json:"method"`
	URL         string             `yaml:"url" json:"url"` // as all texts of a request it may hold ${env:NAME} and ${file:path}
	Header      map[string]string  `yaml:"headers" json:"headers,omitempty"`
	Body        string             `yaml:"body" json:"body,omitempty"`
	BodyFile    string             `yaml:"bodyFile" json:"bodyFile,omitempty"`       // instead of body: a file, sent as it is
	Descriptors string             `yaml:"descriptors" json:"descriptors,omitempty"` // gRPC: a file with a FileDescriptorSet; default: the server's reflection
	Messages    []Message          `yaml:"messages" json:"messages,omitempty"`       // websocket: what is said
	Hold        Duration           `yaml:"hold" json:"hold,omitempty"`               // websocket: how long the connection is held open afterwards
	Extract     map[string]Extract `yaml:"extract" json:"extract,omitempty"`         // steps: values of the answer, by the name that later steps call them
	Checks      []Check            `yaml:"checks" json:"checks,omitempty"`           // what the answer must be; else the request failed
}

// Message is one exchange over a websocket: something is sent, or something must
// come, or both.
type Message struct {
	Send   string `yaml:"send" json:"send,omitempty"`     // text; empty: nothing is sent
	Expect string `yaml:"expect" json:"expect,omitempty"` // what a message that comes must hold, earlier ones are passed over; empty: nothing is waited for
}

// Extract takes a value from an answer: exactly one of its fields says how.
type Extract struct {
	JSON   string `yaml:"json" json:"json,omitempty"`     // path in the body, such as items.0.id (GJSON)
	Header string `yaml:"header" json:"header,omitempty"` // name of a header
	Regex  string `yaml:"regex" json:"regex,omitempty"`   // in the body; the first group, or the whole without one
}

// Check is one thing that an answer must be: exactly one of status, contains and
// json is given.
type Check struct {
	Status   int    `yaml:"status" json:"status,omitempty" want:"a status from 100 to 599"`
	Contains string `yaml:"contains" json:"contains,omitempty"` // text of the body
	JSON     string `yaml:"json" json:"json,omitempty"`         // path in the body (GJSON), with equals
	Equals   string `yaml:"equals" json:"equals,omitempty"`     // the value at json, as text
}

// Feed is a data file: CSV with a heading, or a JSON object on each line.
type Feed struct {
	File  string `yaml:"file" json:"file"`                                                 // ends in .csv, .jsonl or .ndjson; from the scenario's folder
	Order string `yaml:"order" json:"order,omitempty" want:"sequential, random or unique"` // sequential (default): again from the start after the end; random; unique: each row once, then the run ends
}

// ScenarioTLS says which certificates targets may have.
type ScenarioTLS struct {
	CA         string `yaml:"ca" json:"ca,omitempty"`                 // file of certificates that are trusted; default: the system's
	SkipVerify bool   `yaml:"skipVerify" json:"skipVerify,omitempty"` // trust every certificate
}

// Stage is a stretch of time with one shape: rate, or from and to, or one of steps,
// spike, sine and soak. Rates are requests a second.
type Stage struct {
	Rate     float64  `yaml:"rate" json:"rate,omitempty" want:"requests a second above 0"` // requests a second
	From     float64  `yaml:"from" json:"from,omitempty" want:"requests a second, 0 or more"`
	To       float64  `yaml:"to" json:"to,omitempty" want:"requests a second, 0 or more"`
	Steps    *Steps   `yaml:"steps" json:"steps,omitempty"`
	Spike    *Spike   `yaml:"spike" json:"spike,omitempty"`
	Sine     *Sine    `yaml:"sine" json:"sine,omitempty"`
	Soak     *Soak    `yaml:"soak" json:"soak,omitempty"`
	Duration Duration `yaml:"duration" json:"duration"` // of the whole shape
}

// Steps are equally long stretches of constant rates, each as much higher, or
// lower, than the one before.
type Steps struct {
	From  float64 `yaml:"from" json:"from" want:"requests a second, 0 or more"`
	To    float64 `yaml:"to" json:"to" want:"requests a second, 0 or more"`
	Count int     `yaml:"count" json:"count" want:"a whole number from 2 to 1000"` // of rates, from and to included
}

// Spike is a base rate with a peak in the middle of the stage.
type Spike struct {
	Base float64  `yaml:"base" json:"base" want:"requests a second, 0 or more"`
	Peak float64  `yaml:"peak" json:"peak" want:"requests a second above base"`
	Rise Duration `yaml:"rise" json:"rise,omitempty"` // from base to peak, and as long back; 0: at once
	Hold Duration `yaml:"hold" json:"hold"`           // of the peak
}

// Sine is a rate that swings around a mean, such as a day's.
type Sine struct {
	Mean      float64  `yaml:"mean" json:"mean" want:"requests a second above 0"`
	Amplitude float64  `yaml:"amplitude" json:"amplitude" want:"requests a second from 0 to mean"`
	Period    Duration `yaml:"period" json:"period"`                                              // of one swing
	Start     string   `yaml:"start" json:"start,omitempty" want:"mean, peak, falling or trough"` // where it begins: mean (default, rising), peak, falling or trough
}

// Soak is a constant rate held for long, with an easy beginning and end.
type Soak struct {
	Rate float64  `yaml:"rate" json:"rate" want:"requests a second above 0"`
	Ramp Duration `yaml:"ramp" json:"ramp,omitempty"` // from 0 to rate, and as long back; 0: a twentieth of the stage, a minute at most
}

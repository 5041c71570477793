// Package config is kongdao.yaml: one struct with complete defaults, read
// strictly, so that a slip of the pen is named with its line and not ignored.
package config

import (
	"fmt"
	"os"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/collector/policy"
)

// Config is everything that kongdao.yaml can say. Relative paths are from the
// working directory.
type Config struct {
	DataDir      string `yaml:"dataDir"`      // all that is kept: call logs, write-ahead log, alerts, run/addresses.json
	ResourcesDir string `yaml:"resourcesDir"` // functions, zones and the other resources

	Listen     Listen     `yaml:"listen"`
	ClickHouse ClickHouse `yaml:"clickhouse"`
	XDS        XDS        `yaml:"xds"`
	Gateway    Gateway    `yaml:"gateway"`
	Envoy      Envoy      `yaml:"envoy"`
	Collector  Collector  `yaml:"collector"`
	Access     Access     `yaml:"access"`
	Alerting   Alerting   `yaml:"alerting"`
	LoadTest   LoadTest   `yaml:"loadtest"`
	Capacity   Capacity   `yaml:"capacity"`
	Practice   Practice   `yaml:"practice"`
	Log        Log        `yaml:"log"`

	Readers []Reader          `yaml:"readers"` // who else may ask about calls, and about whose
	Tenants map[string]Tenant `yaml:"tenants"` // how calls of a tenant are kept, by its name; those that are not here have the defaults
}

// Listen is where the parts listen, host:port each; port 0 is any free one, which
// run/addresses.json in the data directory then names.
type Listen struct {
	Gateway        string `yaml:"gateway" want:"an IP address and port such as 127.0.0.1:9000"`        // callers
	GatewayTLS     string `yaml:"gatewayTLS" want:"an IP address and port such as 127.0.0.1:9443"`     // callers by TLS; empty: none. See gateway.tls
	GatewayAdmin   string `yaml:"gatewayAdmin" want:"an IP address and port such as 127.0.0.1:9000"`   // Envoy's administration; it can stop the gateway, hence loopback only
	XDS            string `yaml:"xds" want:"an IP address and port such as 127.0.0.1:9000"`            // control plane, for gateways
	ALS            string `yaml:"als" want:"an IP address and port such as 127.0.0.1:9000"`            // access log stream, from gateways
	OTLPGRPC       string `yaml:"otlpGRPC" want:"an IP address and port such as 127.0.0.1:9000"`       // log records of functions, OTLP over gRPC
	OTLPHTTP       string `yaml:"otlpHTTP" want:"an IP address and port such as 127.0.0.1:9000"`       // log records of functions, OTLP over HTTP: POST /v1/logs
	ClickHouse     string `yaml:"clickhouse" want:"an IP address and port such as 127.0.0.1:9000"`     // embedded ClickHouse, native protocol; loopback only
	ClickHouseHTTP string `yaml:"clickhouseHTTP" want:"an IP address and port such as 127.0.0.1:9000"` // embedded ClickHouse, HTTP; loopback only
	API            string `yaml:"api" want:"an IP address and port such as 127.0.0.1:9000"`            // management API
	Metrics        string `yaml:"metrics" want:"an IP address and port such as 127.0.0.1:9000"`        // /metrics of all parts
	Alertmanager   string `yaml:"alertmanager" want:"an IP address and port such as 127.0.0.1:9000"`   // API v2
	Prometheus     string `yaml:"prometheus" want:"an IP address and port such as 127.0.0.1:9000"`     // query API
	Links          string `yaml:"links" want:"an IP address and port such as 127.0.0.1:9000"`          // what signed links in messages lead to; empty: messages have none. See alerting.linksURL
}

// ClickHouse says where call logs are kept.
type ClickHouse struct {
	DSN     api.Secret `yaml:"dsn"`     // clickhouse://user:${env:PASSWORD}@host:9000/database; empty: the embedded engine
	CAFile  string     `yaml:"caFile"`  // certificates, PEM, that sign the server's; empty: those of the machine
	Library string     `yaml:"library"` // libchdb.so of the embedded engine; empty: it is looked for

	Cluster       string `yaml:"cluster"`                                            // name of the server's cluster; empty: one server
	RetentionDays int    `yaml:"retentionDays" want:"a whole number from 1 to 3650"` // how long calls are kept; see tenants
	StoragePolicy string `yaml:"storagePolicy"`                                      // of the tables; empty: as they are
	ColdAfterDays int    `yaml:"coldAfterDays" want:"a whole number from 0 to 3650"` // when calls move to the policy's volume cold; 0: never
}

// Envoy is the gateway that this process starts.
type Envoy struct {
	Path        string   `yaml:"path"`                                            // the program; empty: it is looked for
	Concurrency int      `yaml:"concurrency" want:"a whole number from 0 to 256"` // worker threads; 0: one per CPU
	Node        string   `yaml:"node"`                                            // name among gateways, as in the column gateway
	Group       string   `yaml:"group"`                                           // the GatewayGroup that it is in
	Canary      bool     `yaml:"canary"`                                          // a second Envoy beside the control plane, on which changes are tried before any gateway gets them
	TLS         EnvoyTLS `yaml:"tls"`
	Zone        string   `yaml:"zone"` // where it stands; calls stay in the zone while it can take them; empty: nowhere
}

// Collector takes calls from gateways to ClickHouse.
type Collector struct {
	Source        string       `yaml:"source" want:"file or als"`                           // file: Envoy's log on this machine; als: its log stream
	FlushInterval api.Duration `yaml:"flushInterval"`                                       // a call waits at most that long for its block to be written
	MaxRows       int          `yaml:"maxRows" want:"a whole number from 1 to 200000"`      // calls in a block
	WALBytes      int64        `yaml:"walBytes" want:"a number of bytes, at least 1048576"` // disk for calls that ClickHouse has not taken yet
	Headers       []string     `yaml:"headers"`                                             // request headers that are stored, lower case; nothing of all others is
	Redact        Redact       `yaml:"redact"`                                              // what is hidden in calls before they are stored
	ClientIP      ClientIP     `yaml:"clientIP"`                                            // how much of clients' addresses is stored

	Files        []File `yaml:"files"`                                                      // for file: logs of further gateways on this machine
	RotateBytes  int64  `yaml:"rotateBytes" want:"a number of bytes, 0 or at least 65536"`  // for file: size at which a log is rotated; 0: never
	FileBytes    int64  `yaml:"fileBytes" want:"a number of bytes, 0 or twice rotateBytes"` // for file: disk that the files of one log should use at most; 0: no bound
	FileOverflow string `yaml:"fileOverflow" want:"keep or drop-oldest"`                    // for file: what happens beyond
}

// File is the log of a gateway that this process does not start, or of several.
type File struct {
	Path    string `yaml:"path"`                            // the file, or a pattern such as /var/log/gateways/*.log
	Gateway string `yaml:"gateway"`                         // name of the gateway; empty: what the pattern's last wildcard stands for, or the file's name
	Zone    string `yaml:"zone"`                            // where the gateway stands; empty: nowhere
	Admin   string `yaml:"admin" want:"host:port, or none"` // Envoy's administration, to rotate the file; empty: somebody else does
}

// Redact hides what callers sent before it is stored.
type Redact struct {
	Patterns []string          `yaml:"patterns"` // built-in: phone, idcard, token, email
	Custom   map[string]string `yaml:"custom"`   // regular expressions by name; what one matches becomes [name]
	Drop     []string          `yaml:"drop"`     // fields that are left empty, such as user_agent, query.name, attrs.x-user
	Mask     []string          `yaml:"mask"`     // fields that become ***
}

// ClientIP cuts addresses to their networks.
type ClientIP struct {
	IPv4Bits int `yaml:"ipv4Bits" want:"a whole number from 0 to 32"`  // 0: nothing is stored
	IPv6Bits int `yaml:"ipv6Bits" want:"a whole number from 0 to 128"` // 0: nothing is stored
}

// Alerting evaluates rules and notifies.
type Alerting struct {
	ScrapeInterval     api.Duration    `yaml:"scrapeInterval"`       // how often metrics are read
	EvaluationInterval api.Duration    `yaml:"evaluationInterval"`   // how often rules are evaluated that do not say it themselves
	Retention          api.Duration    `yaml:"retention"`            // how long metrics are kept for rules and queries
	AlertmanagerConfig string          `yaml:"alertmanagerConfig"`   // file in Alertmanager's format; empty: the shipped one
	ExternalURL        string          `yaml:"externalURL"`          // where users reach Alertmanager, for links; empty: where it listens
	Lang               string          `yaml:"lang" want:"zh or en"` // of messages
	LinkBase           string          `yaml:"linkBase"`             // is put before relative links in messages, such as runbooks
	Targets            []string        `yaml:"targets"`              // host:port of further /metrics to read
	Cluster            AlertingCluster `yaml:"cluster"`              // other instances, of which each takes over when another is gone
	ForwardTo          []string        `yaml:"forwardTo"`            // addresses of other Alertmanagers that are told what rules find, such as https://alertmanager:9093
	ForwardTokenFile   string          `yaml:"forwardTokenFile"`     // file of a bearer token for all of them; empty: none
	RuleFiles          []string        `yaml:"ruleFiles"`            // patterns of Prometheus rule files, read anew when they change
	LogReader          string          `yaml:"logReader"`            // the one of readers that log rules ask as; empty: whoever is on this machine, and on a server none
	Fallback           string          `yaml:"fallback"`             // Channel, Robot or receiver with integrations that is handed what others cannot deliver; empty: none

	Messages   string     `yaml:"messages" want:"markdown, text or actionCard"` // their shape; those that mention somebody are never action cards, which cannot
	Templates  string     `yaml:"templates"`                                    // file of Go templates for messages; empty: the shipped ones
	Escalation Escalation `yaml:"escalation"`                                   // of pages that nobody claims

	TimeZone   string `yaml:"timeZone"`   // of times in messages, such as Asia/Shanghai; empty: the machine's
	GrafanaURL string `yaml:"grafanaURL"` // of a Grafana with KongDao's dashboards, for links in messages; empty: none

	LinksURL string     `yaml:"linksURL"` // where people's phones reach listen.links; empty: http:// and its address
	LinksKey api.Secret `yaml:"linksKey"` // signs links, 16 bytes at least, the same for every instance; empty: one is made and kept in the data directory
}

// LoadTest bounds what a stress test may do.
type LoadTest struct {
	Allow       []string     `yaml:"allow"`                                         // hosts that may be attacked besides this machine
	MaxRate     float64      `yaml:"maxRate" want:"requests a second above 0"`      // requests a second
	MaxDuration api.Duration `yaml:"maxDuration"`                                   // of a whole test
	MaxBytes    api.Size     `yaml:"maxBytes"`                                      // received and sent by a whole test, headers included
	KeepDays    int          `yaml:"keepDays" want:"a whole number from 1 to 3650"` // how long results are kept
	Marks       string       `yaml:"marks" want:"any or signed"`                    // whose x-kongdao-load-test gateways believe
}

// Whose marks are believed.
const (
	MarksAny    = "any"    // everybody's
	MarksSigned = "signed" // of those who have the right from the control plane; others' are taken away
)

// Log is how the program logs.
type Log struct {
	Level  string `yaml:"level" want:"debug, info, warn or error"`
	Format string `yaml:"format" want:"text or json"`
}

// Default is the configuration without a file: everything on this machine,
// loopback only.
func Default() Config {
	const anyPort = "127.0.0.1:0"
	return Config{
		DataDir:      "data",
		ResourcesDir: "resources",
		Listen: Listen{
			Gateway: "127.0.0.1:9000", GatewayAdmin: anyPort, XDS: anyPort, ALS: anyPort,
			OTLPGRPC: anyPort, OTLPHTTP: anyPort,
			ClickHouse: anyPort, ClickHouseHTTP: anyPort, API: "127.0.0.1:9080", Metrics: anyPort,
			Alertmanager: anyPort, Prometheus: anyPort,
		},
		ClickHouse: ClickHouse{RetentionDays: 30},
		XDS:        DefaultXDS(),
		Gateway:    DefaultGateway(),
		Envoy:      Envoy{Node: "gateway-1", Group: "default", Canary: true},
		Collector: Collector{
			Source: "file", FlushInterval: api.Duration(500 * time.Millisecond), MaxRows: 20_000, WALBytes: 1 << 30,
			Headers: []string{}, ClientIP: ClientIP{IPv4Bits: 32, IPv6Bits: 128},
			Redact: Redact{
				Patterns: []string{policy.Phone, policy.IDCard, policy.Token}, Custom: map[string]string{}, Drop: []string{}, Mask: []string{},
			},
			Files: []File{}, RotateBytes: 256 << 20, FileBytes: 10 << 30, FileOverflow: "keep",
		},
		Access: Access{
			TrustedProxies: []string{}, TrustedCA: "/etc/ssl/certs/ca-certificates.crt", SignatureWindow: api.Duration(5 * time.Minute),
		},
		Alerting: Alerting{
			ScrapeInterval:     api.Duration(2 * time.Second),
			EvaluationInterval: api.Duration(5 * time.Second),
			Retention:          api.Duration(6 * time.Hour),
			Lang:               "zh",
			Messages:           "markdown",
			RuleFiles:          []string{},
		},
		LoadTest: LoadTest{
			Allow: []string{}, MaxRate: 20_000, MaxDuration: api.Duration(time.Hour), MaxBytes: 100 << 30, KeepDays: 365, Marks: MarksAny,
		},
		Capacity: DefaultCapacity(),
		Practice: DefaultPractice(),
		Log:      Log{Level: "info", Format: "text"},
		Readers:  []Reader{},
		Tenants:  map[string]Tenant{},
	}
}

// Alertmanager is the text of the file that AlertmanagerConfig names; empty when
// none is named.
func (a Alerting) Alertmanager() (string, error) {
	if a.AlertmanagerConfig == "" {
		return "", nil
	}
	text, err := os.ReadFile(a.AlertmanagerConfig)
	if err != nil {
		return "", fmt.Errorf("alerting.alertmanagerConfig: %w", err)
	}
	return string(text), nil
}

// TemplateText is the text of the file that Templates names; empty when none is
// named.
func (a Alerting) TemplateText() (string, error) {
	if a.Templates == "" {
		return "", nil
	}
	text, err := os.ReadFile(a.Templates)
	if err != nil {
		return "", fmt.Errorf("alerting.templates: %w", err)
	}
	return string(text), nil
}

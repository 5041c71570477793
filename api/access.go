package api

// Access says who may call a function. Of the ways in (consumers, jwt, external)
// one is enough; the lists of addresses hold for all of them, and for public
// functions too.
type Access struct {
	Public    bool       `yaml:"public" json:"public"`                 // everybody
	Consumers []string   `yaml:"consumers" json:"consumers,omitempty"` // these; see Consumer
	By        []string   `yaml:"by" json:"by,omitempty"`               // how consumers show who they are: key, signature, certificate; empty: any of them
	JWT       []JWT      `yaml:"jwt" json:"jwt,omitempty"`             // holders of a token
	External  *External  `yaml:"external" json:"external,omitempty"`   // those that a service of yours lets in; asked last
	IP        *Addresses `yaml:"ip" json:"ip,omitempty"`               // where calls may come from; nil: anywhere

	// Revisions are the consumers that may name a revision in x-kongdao-revision. It
	// is a right of its own: to call that revision they need no other. Empty: nobody.
	Revisions       []string `yaml:"revisions" json:"revisions,omitempty"`
	PublicRevisions bool     `yaml:"publicRevisions" json:"publicRevisions,omitempty"` // all who may call may name one
}

// Ways in which a consumer shows who it is; the values of Access.By.
const (
	ByKey         = "key"         // x-api-key
	BySignature   = "signature"   // Authorization: KongDao-HMAC-SHA256 …
	ByCertificate = "certificate" // of the client, on the listener's TLS
)

// JWT lets in who holds a valid token of an issuer.
type JWT struct {
	Name      string              `yaml:"name" json:"name"`                                       // calls are logged as name/subject; [a-z0-9-]
	Issuer    string              `yaml:"issuer" json:"issuer"`                                   // the claim iss, exactly
	Audiences []string            `yaml:"audiences" json:"audiences,omitempty"`                   // one must be in the claim aud; empty: not looked at
	JWKS      JWKS                `yaml:"jwks" json:"jwks"`                                       // the issuer's public keys
	Subject   string              `yaml:"subject" json:"subject,omitempty"`                       // the claim that names the caller; empty: sub
	Require   map[string][]string `yaml:"require" json:"require,omitempty"`                       // claims that must have one of the values; a.b is b within a
	Headers   map[string]string   `yaml:"headers" json:"headers,omitempty"`                       // request headers that the pod gets, each with the claim it is taken from
	Header    string              `yaml:"header" json:"header,omitempty"`                         // header with the token; empty: Authorization: Bearer …
	ClockSkew Duration            `yaml:"clockSkew" json:"clockSkew,omitempty" want:"such as 1m"` // how far the issuer's clock may be off; 0: 1m
}

// JWKS is where the keys of an issuer come from. One of them is given.
type JWKS struct {
	Inline   string   `yaml:"inline" json:"inline,omitempty"`     // the key set itself, JSON
	File     string   `yaml:"file" json:"file,omitempty"`         // file with it on the control plane's machine, read when resources change
	URL      string   `yaml:"url" json:"url,omitempty"`           // http or https; every gateway fetches it
	CacheFor Duration `yaml:"cacheFor" json:"cacheFor,omitempty"` // of URL, how long a fetched set is used; 0: 5m
}

// External is a service that decides, speaking Envoy's ext_authz.
type External struct {
	URL      string   `yaml:"url" json:"url"`                     // grpc://, grpcs://, http:// or https://, host:port, and for HTTP a prefix of the path
	Timeout  Duration `yaml:"timeout" json:"timeout"`             // 0: 500ms
	FailOpen bool     `yaml:"failOpen" json:"failOpen,omitempty"` // calls are let in while the service gives no answer; else they get 503
}

// Addresses bound where calls may come from: the client's address, as the
// trusted proxies in front of the gateway say it.
type Addresses struct {
	Allow []string `yaml:"allow" json:"allow,omitempty"` // addresses or networks such as 10.0.0.0/8; empty: all
	Deny  []string `yaml:"deny" json:"deny,omitempty"`   // wins over allow
}

// Consumer is a caller that is known by name.
type Consumer struct {
	Metadata `yaml:"metadata" json:"metadata"`
	Spec     ConsumerSpec `yaml:"spec" json:"spec"`
}

// ConsumerSpec is how a consumer shows who it is; one way at least.
type ConsumerSpec struct {
	Keys         []Secret            `yaml:"keys" json:"keys"`                                              // ${env:NAME}, ${file:path}, or sha256:… of the key
	Signing      []Secret            `yaml:"signing" json:"signing,omitempty"`                              // secrets for signed requests, ${env:NAME} or ${file:path}; several while one replaces another
	Certificates []ClientCertificate `yaml:"certificates" json:"certificates,omitempty"`                    // of the client
	Priority     string              `yaml:"priority" json:"priority,omitempty" want:"high, normal or low"` // of its requests, whatever the route; empty: the route's
}

// ClientCertificate names client certificates, which must also be valid for the
// listener. One field is given.
type ClientCertificate struct {
	URI     string `yaml:"uri" json:"uri,omitempty"`         // a URI among the alternative names, such as spiffe://example.com/feed
	DNS     string `yaml:"dns" json:"dns,omitempty"`         // a DNS name among them
	Subject string `yaml:"subject" json:"subject,omitempty"` // the whole subject, as RFC 2253 writes it
	SHA256  string `yaml:"sha256" json:"sha256,omitempty"`   // of the certificate, 64 hex digits
}

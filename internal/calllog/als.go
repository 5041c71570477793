package calllog

// Tag is a custom tag of Envoy's gRPC access log: what the entries themselves
// do not carry.
type Tag struct {
	Name string // as it arrives in an entry
	Kind string // where Envoy looks: route, cluster or host metadata, or the request's header
	Key  string // within MetadataNamespace, or the header's name
}

// Names of the tags.
const (
	TagTenant   = "kongdao.tenant"
	TagFunction = "kongdao.function"
	TagRevision = "kongdao.revision"
	TagZone     = "kongdao.zone"
	TagConsumer = "kongdao.consumer"
)

// ALSCustomTags are the tags that a gateway's gRPC access log is to be configured
// with (common_config.custom_tags). Without them function and revision are taken
// from the cluster's name, function/revision, and the others are empty. Calls that
// are refused before a pod was chosen have no revision either way, unlike in the
// file log.
func ALSCustomTags() []Tag {
	return []Tag{
		{TagTenant, "route", "tenant"},
		{TagFunction, "route", "function"},
		{TagRevision, "cluster", "revision"},
		{TagZone, "host", "zone"},
		{TagConsumer, "header", ConsumerHeader},
	}
}

// ALSRequestHeaders are the headers for additional_request_headers_to_log.
func (h Headers) ALSRequestHeaders() []string {
	return append([]string{"traceparent", LoadTestHeader}, h.names...)
}

// Cut bounds what a caller can shape as the format of lines does, for sources
// that leave it whole.
func (r *Record) Cut() {
	r.Host, r.Consumer, r.LoadTest = upTo(r.Host, maxOther), upTo(r.Consumer, maxOther), upTo(r.LoadTest, maxOther)
	r.Path, r.UserAgent = upTo(r.Path, maxPath), upTo(r.UserAgent, maxUserAgent)
}

func upTo(v []byte, most int) []byte { return v[:min(len(v), most)] }

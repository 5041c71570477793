package calllog

import (
	hexadecimal "encoding/hex"
	"net/netip"
	"strings"
	"time"

	"github.com/google/uuid"
)

// Call is one call as people and programs read it: a row of the table calls, with
// ids and addresses as text. Live and stored calls are the same Call. Durations are
// microseconds. Text is valid UTF-8; what the client sent may not have been.
type Call struct {
	Time         time.Time         `ch:"ts" json:"ts"`
	RequestID    string            `ch:"request_id" json:"request_id,omitempty"` // empty when there is none
	TraceID      string            `ch:"trace_id" json:"trace_id,omitempty"`     // 32 hex digits; empty when there is none
	Gateway      string            `ch:"gateway" json:"gateway"`
	GatewayZone  string            `ch:"gateway_zone" json:"gateway_zone,omitempty"`
	Tenant       string            `ch:"tenant" json:"tenant"`
	Function     string            `ch:"function" json:"function"`
	Revision     string            `ch:"revision" json:"revision"`
	Route        string            `ch:"route" json:"route"`
	Zone         string            `ch:"zone" json:"zone"`
	Pod          string            `ch:"pod" json:"pod"`
	Method       string            `ch:"method" json:"method"`
	Host         string            `ch:"host" json:"host"`
	Path         string            `ch:"path" json:"path"`
	Status       uint16            `ch:"status" json:"status"`
	Flags        string            `ch:"flags" json:"flags"`
	DurationUS   uint32            `ch:"duration_us" json:"duration_us"`
	UpstreamUS   uint32            `ch:"upstream_us" json:"upstream_us"`
	TTFBUS       uint32            `ch:"ttfb_us" json:"ttfb_us"`
	BytesIn      uint64            `ch:"bytes_in" json:"bytes_in"`
	BytesOut     uint64            `ch:"bytes_out" json:"bytes_out"`
	Attempts     uint8             `ch:"attempts" json:"attempts"`
	ClientIP     string            `ch:"client_ip" json:"client_ip,omitempty"` // IPv4 as such; empty when unknown
	UserAgent    string            `ch:"user_agent" json:"user_agent,omitempty"`
	Consumer     string            `ch:"consumer" json:"consumer"`
	LimitedBy    string            `ch:"limited_by" json:"limited_by"`
	LoadTest     string            `ch:"load_test" json:"load_test,omitempty"`
	SampleWeight uint32            `ch:"sample_weight" json:"sample_weight"`
	Attrs        map[string]string `ch:"attrs" json:"attrs,omitempty"`
}

// CallOf copies r.
func CallOf(r *Record) Call {
	c := Call{
		Time: time.UnixMicro(r.Time).UTC(), Gateway: valid(r.Gateway), GatewayZone: valid(r.GatewayZone),
		Tenant: valid(r.Tenant), Function: valid(r.Function), Revision: valid(r.Revision), Route: valid(r.Route),
		Zone: valid(r.Zone), Pod: valid(r.Pod), Method: MethodName(r.Method), Host: valid(r.Host), Path: valid(r.Path),
		Status: r.Status, Flags: valid(r.Flags), DurationUS: r.DurationUS, UpstreamUS: r.UpstreamUS, TTFBUS: r.TTFBUS,
		BytesIn: r.BytesIn, BytesOut: r.BytesOut, Attempts: r.Attempts, UserAgent: valid(r.UserAgent),
		Consumer: valid(r.Consumer), LimitedBy: valid(r.LimitedBy), LoadTest: valid(r.LoadTest), SampleWeight: r.SampleWeight,
	}
	if r.RequestID != [16]byte{} {
		c.RequestID = uuid.UUID(r.RequestID).String()
	}
	if r.TraceID != [16]byte{} {
		c.TraceID = hexadecimal.EncodeToString(r.TraceID[:])
	}
	if r.ClientIP != [16]byte{} {
		c.ClientIP = netip.AddrFrom16(r.ClientIP).Unmap().String()
	}
	for _, a := range r.Attrs {
		if c.Attrs == nil {
			c.Attrs = map[string]string{}
		}
		c.Attrs[strings.Clone(a.Key)] = valid(a.Value)
	}
	return c
}

// Tidy makes a Call that was read with CallColumns equal to the one of CallOf.
func (c *Call) Tidy() {
	c.Time = c.Time.UTC()
	for _, s := range []*string{
		&c.Gateway, &c.GatewayZone, &c.Tenant, &c.Function, &c.Revision, &c.Route, &c.Zone, &c.Pod, &c.Method,
		&c.Host, &c.Path, &c.Flags, &c.UserAgent, &c.Consumer, &c.LimitedBy, &c.LoadTest,
	} {
		*s = strings.ToValidUTF8(*s, "\uFFFD")
	}
	if ip, err := netip.ParseAddr(c.ClientIP); err == nil {
		c.ClientIP = ip.Unmap().String()
	}
	if len(c.Attrs) == 0 {
		c.Attrs = nil
	}
	for k, v := range c.Attrs {
		c.Attrs[k] = strings.ToValidUTF8(v, "\uFFFD")
	}
}

// CallColumns is what to SELECT from calls AS c for the fields of a Call.
func CallColumns() string {
	var list []string
	for _, c := range Columns() {
		switch c.Name {
		case "request_id":
			list = append(list, "if(c.request_id = toUUID('00000000-0000-0000-0000-000000000000'), '', toString(c.request_id)) AS request_id")
		case "trace_id":
			list = append(list, "if(c.trace_id = toFixedString('', 16), '', lower(hex(c.trace_id))) AS trace_id")
		case "client_ip":
			list = append(list, "if(c.client_ip = toIPv6('::'), '', toString(c.client_ip)) AS client_ip")
		default:
			list = append(list, "c."+c.Name+" AS "+c.Name)
		}
	}
	return strings.Join(list, ", ")
}

// valid copies s and makes it fit for JSON; paths may hold any byte.
func valid[T string | []byte](s T) string { return strings.ToValidUTF8(string(s), "\uFFFD") }

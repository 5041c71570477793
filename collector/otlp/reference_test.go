package otlp

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"math"
	"strings"
	"time"
	"unicode/utf8"

	"github.com/google/uuid"
	logspb "go.opentelemetry.io/proto/otlp/collector/logs/v1"
	common "go.opentelemetry.io/proto/otlp/common/v1"
	logs "go.opentelemetry.io/proto/otlp/logs/v1"
	"google.golang.org/protobuf/proto"

	"github.com/kongdao/kongdao/internal/fnlog"
)

// row is a record that owns what it holds, for comparing.
type row struct {
	Time                                  int64
	Tenant, Function, Revision, Zone, Pod string
	RequestID, TraceID                    [16]byte
	SpanID                                [8]byte
	Severity                              uint8
	SeverityText, Scope, Body             string
	Attrs                                 []string // key=value
}

func rowOf(r *fnlog.Record) row {
	out := row{
		Time: r.Time, Tenant: string(r.Tenant), Function: string(r.Function), Revision: string(r.Revision),
		Zone: string(r.Zone), Pod: string(r.Pod), RequestID: r.RequestID, TraceID: r.TraceID, SpanID: r.SpanID,
		Severity: r.Severity, SeverityText: string(r.SeverityText), Scope: string(r.Scope), Body: string(r.Body),
	}
	for _, a := range r.Attrs {
		out.Attrs = append(out.Attrs, a.Key+"="+string(a.Value))
	}
	return out
}

// reference decodes by protobuf's own structs: slower, and written to be plainly
// right.
func reference(message []byte, l Limits, now time.Time) (rows []row, refused int, err error) {
	var req logspb.ExportLogsServiceRequest
	if err := (proto.UnmarshalOptions{DiscardUnknown: true}).Unmarshal(message, &req); err != nil {
		return nil, 0, err
	}
	for _, rl := range req.GetResourceLogs() {
		res := map[string]string{}
		for _, kv := range rl.GetResource().GetAttributes() {
			text, err := plainText(kv.GetValue())
			if err != nil {
				return nil, 0, err
			}
			if text != "" {
				res[kv.GetKey()] = text
			}
		}
		for _, sl := range rl.GetScopeLogs() {
			for _, rec := range sl.GetLogRecords() {
				r, err := referenceRow(rec, l, now)
				if err != nil {
					return nil, 0, err
				}
				r.Tenant = first(res, "kongdao.tenant", "service.namespace")
				r.Function = first(res, "kongdao.function", "service.name")
				r.Revision = first(res, "kongdao.revision", "service.version")
				r.Zone = first(res, "kongdao.zone", "cloud.availability_zone")
				r.Pod = first(res, "kongdao.pod", "k8s.pod.name", "service.instance.id", "host.name")
				r.Scope = short(sl.GetScope().GetName(), maxName)
				if r.Function == "" {
					refused++
					continue
				}
				rows = append(rows, r)
			}
		}
	}
	if len(rows) > maxRecords {
		return nil, 0, errTooMany
	}
	return rows, refused, nil
}

func first(res map[string]string, keys ...string) string {
	for _, k := range keys {
		if res[k] != "" {
			return short(res[k], maxName)
		}
	}
	return ""
}

func referenceRow(rec *logs.LogRecord, l Limits, now time.Time) (r row, err error) {
	if n := rec.GetSeverityNumber(); n >= 0 && n <= 24 {
		r.Severity = uint8(n)
	}
	r.SeverityText = short(rec.GetSeverityText(), maxName)
	if id := rec.GetTraceId(); len(id) == 16 {
		r.TraceID = [16]byte(id)
	}
	if id := rec.GetSpanId(); len(id) == 8 {
		r.SpanID = [8]byte(id)
	}
	lost, dropped := 0, int(rec.GetDroppedAttributesCount())
	for _, kv := range rec.GetAttributes() {
		text, err := plainText(kv.GetValue())
		if err != nil {
			return r, err
		}
		if id, ok := referenceID(text); ok && r.TraceID == [16]byte{} && kv.GetKey() == "trace_id" {
			defer func() { r.TraceID = id }() // the last one wins: see below
		}
		switch key := kv.GetKey(); {
		case key == "request_id", key == "x-request-id", key == "http.request.header.x-request-id":
			if id, ok := referenceID(strings.TrimSuffix(strings.TrimPrefix(text, `["`), `"]`)); ok && (text[0] != '[' || key[0] == 'h') {
				r.RequestID = id
				continue
			}
		}
		if kv.GetKey() == "" || len(kv.GetKey()) > maxName || len(r.Attrs) >= l.MaxAttributes {
			dropped++
			continue
		}
		kept := short(text, l.MaxAttributeBytes)
		lost += len(text) - len(kept)
		r.Attrs = append(r.Attrs, kv.GetKey()+"="+kept)
	}
	body, err := plainText(rec.GetBody())
	if err != nil {
		return r, err
	}
	r.Body = short(body, l.MaxBodyBytes)
	lost += len(body) - len(r.Body)
	own := rec.GetTimeUnixNano()
	if own == 0 {
		own = rec.GetObservedTimeUnixNano()
	}
	at := time.Unix(0, int64(min(own, math.MaxInt64)))
	r.Time = at.UnixNano()
	if own == 0 || at.Before(now.Add(-l.MaxAge.Std())) || at.After(now.Add(l.MaxSkew.Std())) {
		r.Time = now.UnixNano()
		if own != 0 {
			r.Attrs = append(r.Attrs, fnlog.AttrClock+"="+at.UTC().Format(time.RFC3339Nano))
		}
	}
	if e := rec.GetEventName(); e != "" {
		r.Attrs = append(r.Attrs, fnlog.AttrEvent+"="+short(e, maxName))
	}
	if dropped > 0 {
		r.Attrs = append(r.Attrs, fmt.Sprintf("%s=%d", fnlog.AttrDroppedAttrs, dropped))
	}
	if lost > 0 {
		r.Attrs = append(r.Attrs, fmt.Sprintf("%s=%d", fnlog.AttrCutBytes, lost))
	}
	return r, nil
}

func referenceID(s string) (id [16]byte, ok bool) {
	if len(s) != 32 && len(s) != 36 {
		return id, false
	}
	u, err := uuid.Parse(s)
	return u, err == nil
}

func short(s string, n int) string {
	if len(s) <= n {
		return s
	}
	for end := n; end > 0 && end > n-utf8.UTFMax; end-- {
		if utf8.RuneStart(s[end]) {
			return s[:end]
		}
	}
	return s[:n-utf8.UTFMax]
}

func plainText(v *common.AnyValue) (string, error) {
	switch x := v.GetValue().(type) {
	case nil:
		return "", nil
	case *common.AnyValue_StringValue:
		return x.StringValue, nil
	case *common.AnyValue_BoolValue:
		return fmt.Sprint(x.BoolValue), nil
	case *common.AnyValue_IntValue:
		return fmt.Sprint(x.IntValue), nil
	case *common.AnyValue_DoubleValue:
		return fmt.Sprint(x.DoubleValue), nil
	case *common.AnyValue_BytesValue:
		return base64.StdEncoding.EncodeToString(x.BytesValue), nil
	case *common.AnyValue_ArrayValue, *common.AnyValue_KvlistValue:
		b, err := json.Marshal(plain(v))
		return string(b), err
	}
	return "", nil
}

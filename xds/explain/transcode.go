package explain

import (
	"net/http"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/xds/model"
)

const filterTranscoder = "envoy.filters.http.grpc_json_transcoder"

// transcode tells which method a JSON call becomes, or that it becomes none: then
// the gateway refuses it after its limits have let it in. A body is not looked at.
func (a *Answer) transcode(rule *model.Rule, path string) {
	if rule.Transcode == nil || a.Handling == nil {
		return
	}
	h := a.Handling
	call, ok := rule.Transcode.Call(a.request.Method, path, strings.TrimPrefix(queryOf(a.request.Path), "?"), a.request.values)
	if i := slices.Index(a.Filters, filterRouter); i >= 0 {
		a.Filters = slices.Insert(a.Filters, i, filterTranscoder)
	}
	switch {
	case !ok:
		h.Transcoded = "it is gRPC already and passes as it is"
		return
	case call.Status != 0:
		a.Status, a.Reason = call.Status, "not transcoded: "+call.Reason
		a.Revision, a.Revisions, a.Pinned = "", nil, false
		a.Zones, a.Endpoints = map[string]Zone{}, []Endpoint{}
		h.Timeout, h.Retries, h.Mirrors, h.RequestHeaders = "", "", nil, nil
		return
	}
	h.Method, h.Path = http.MethodPost, call.Method
	h.Transcoded = "to " + call.Method
	if call.ClientStreams {
		h.Transcoded += ", from a JSON array of messages"
	}
	if call.ServerStreams {
		h.Transcoded += ", whose stream is answered as " + streamed(rule.Transcode.Stream)
	}
}

func streamed(how string) string {
	if how == "lines" {
		return "JSON, one message a line"
	}
	return "a JSON array"
}

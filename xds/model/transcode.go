package model

import (
	"strings"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/api/grpcjson"
)

// Transcode makes calls of gRPC methods out of JSON calls.
type Transcode struct {
	*api.Transcode
	calls *grpcjson.Transcoder
}

// transcode is what a route has of it: its own, or the function's; nil for routes
// that ask no pod. What is wrong with it wrongTranscode says.
func transcode(spec *api.Function, rt api.Route) *Transcode {
	t := rt.Transcode
	if t == nil {
		t = spec.Spec.Transcode
	}
	if t == nil || rt.Redirect != nil || rt.Respond != nil || rt.Websocket {
		return nil
	}
	calls, err := t.Transcoder()
	if err != nil {
		return nil
	}
	return &Transcode{t, calls}
}

// wrongTranscode says why a function's calls cannot be transcoded, or "".
func wrongTranscode(s api.FunctionSpec) string {
	all := []*api.Transcode{s.Transcode}
	for _, rt := range s.Routes {
		all = append(all, rt.Transcode)
	}
	for _, t := range all {
		if t == nil {
			continue
		}
		if _, err := t.Transcoder(); err != nil {
			return "transcode: " + err.Error()
		}
	}
	return ""
}

// Call is what becomes of a request on a path, which has no query. ok is false for
// requests that are gRPC already: they pass as they are.
func (t *Transcode) Call(method, path, query string, values Values) (call grpcjson.Call, ok bool) {
	for _, kind := range first(values("content-type")) {
		if kind == "application/grpc" || strings.HasPrefix(kind, "application/grpc+") || strings.HasPrefix(kind, "application/grpc;") {
			return grpcjson.Call{}, false
		}
	}
	return t.calls.Match(method, path, query, t.IgnoreUnknown), true
}

func first(lines []string) []string { return lines[:min(1, len(lines))] }

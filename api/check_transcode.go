package api

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

var serviceName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_]*(\.[A-Za-z_][A-Za-z0-9_]*)*$`)

func (t *Transcode) check(r *report, at string) {
	if t.DescriptorSet == "" || strings.ContainsRune(t.DescriptorSet, 0) {
		r.add(at+".descriptorSet", "%s, want the file that protoc --include_imports --descriptor_set_out writes, such as items.pb", isOrMissing(t.DescriptorSet))
	}
	if len(t.Services) == 0 {
		r.add(at+".services", "is missing, want the full names of services, such as shop.v1.Items")
	}
	for i, name := range t.Services {
		if !serviceName.MatchString(name) {
			r.add(fmt.Sprintf("%s.services[%d]", at, i), "%s, want the full name of a service, such as shop.v1.Items", isOrMissing(name))
		}
	}
	r.unique(at+".services", t.Services)
	if all := []string{StreamArray, StreamLines}; t.Stream != "" && !slices.Contains(all, t.Stream) {
		r.add(at+".stream", "is %s, want %s", quote(t.Stream), oneOf(all))
	}
}

// transcode is what a route has of it: its own, or the function's.
func (f *Function) transcode(rt Route) *Transcode {
	if rt.Transcode != nil {
		return rt.Transcode
	}
	return f.Spec.Transcode
}

// checkTranscoding reports what transcoding does not go together with.
func (f *Function) checkTranscoding(r *report) {
	fields, all := f.transcodes()
	if len(all) == 0 {
		return
	}
	for i, t := range all {
		t.check(r, fields[i])
	}
	for i, rev := range f.Spec.Revisions {
		if rev.Protocol == "" || rev.Protocol == HTTP1 {
			r.add(fmt.Sprintf("spec.revisions[%d].protocol", i), "%s, over which no gRPC goes, as %s wants: want grpc or h2", isOrMissing(string(rev.Protocol)), fields[0])
		}
	}
	for i, rt := range f.Spec.Routes {
		at := fmt.Sprintf("spec.routes[%d]", i)
		switch {
		case f.transcode(rt) == nil:
		case rt.Rewrite != "":
			r.add(at+".rewrite", "is %s beside transcode, whose pods see /package.Service/Method: want it left out", quote(rt.Rewrite))
		case rt.Websocket:
			r.add(at+".websocket", "is true beside transcode, which has calls and no websockets: want a function of its own")
		case rt.Transcode != nil && (rt.Redirect != nil || rt.Respond != nil):
			r.add(at+".transcode", "is on a route that asks no pod: want it left out")
		}
	}
	f.checkTranscoded(r)
}

// checkTranscoded reports what the descriptor sets do not have; nothing of those that
// were not read.
func (f *Function) checkTranscoded(r *report) {
	fields, all := f.transcodes()
	for i, t := range all {
		if t.Set == nil || len(t.Services) == 0 {
			continue
		}
		for j, name := range t.Services {
			if _, err := t.Set.Transcoder([]string{name}, t.AutoMapping); err != nil {
				r.add(fmt.Sprintf("%s.services[%d]", fields[i], j), "%s: %s", quote(name), brief(err))
				return
			}
		}
		if _, err := t.Transcoder(); err != nil { // two services that take each other's calls
			r.add(fields[i]+".services", "go not together: %s", brief(err))
			return
		}
	}
	for i, rt := range f.Spec.Routes {
		t := f.transcode(rt)
		if t == nil || t.Set == nil || rt.Redirect != nil || rt.Respond != nil || wrongPath(rt.Path) != "" {
			continue
		}
		if tr, err := t.Transcoder(); err == nil && !reaches(tr.Reaches, rt.Path) {
			r.add(fmt.Sprintf("spec.routes[%d].path", i), "is %s, under which none of the methods is called: want it to take in one of %s", quote(rt.Path), someOf(tr.Rules()))
		}
	}
}

// reaches tells whether a route's path takes in one of the rules' paths.
func reaches(any func(segments []string, wild func(string) bool, open bool) bool, path string) bool {
	segments := strings.Split(path[1:], "/")
	open := segments[len(segments)-1] == "*"
	if open {
		segments = segments[:len(segments)-1]
	}
	for len(segments) > 0 && segments[len(segments)-1] == "" {
		segments = segments[:len(segments)-1] // gateways do not count it
	}
	return any(segments, pathVariable.MatchString, open)
}

// someOf is a list that fits into a message.
func someOf(all []string) string {
	const most = 5
	if len(all) > most {
		return strings.Join(all[:most], ", ") + fmt.Sprintf(" and %d more", len(all)-most)
	}
	return strings.Join(all, ", ")
}

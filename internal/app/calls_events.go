package app

import (
	"bufio"
	"encoding/json"
	"net/http"
	"reflect"

	"github.com/danielgtaylor/huma/v2"
)

// Names of the events of a live view.
const (
	eventCall    = "call"    // a Call
	eventState   = "state"   // a TailState
	eventDropped = "dropped" // a TailDropped
)

// events writes server-sent events. Huma has a writer of its own, which sends every
// event by itself and gives a reader up that stops for five seconds, as one behind a
// pager does.
type events struct {
	out     *bufio.Writer
	encoder *json.Encoder // to out
	flusher http.Flusher
}

func newEvents(ctx huma.Context) *events {
	ctx.SetHeader("Content-Type", "text/event-stream")
	ctx.SetHeader("Cache-Control", "no-store")
	ctx.SetHeader("X-Accel-Buffering", "no") // proxies would hold events back
	ctx.SetStatus(http.StatusOK)
	w := ctx.BodyWriter()
	e := &events{out: bufio.NewWriterSize(w, 64<<10)}
	e.flusher, _ = w.(http.Flusher)
	e.encoder = json.NewEncoder(e.out)
	e.encoder.SetEscapeHTML(false)
	return e
}

// add writes an event, which goes out with the next flush at the latest.
func (e *events) add(name string, data any) error {
	_, _ = e.out.WriteString("event: " + name + "\ndata: ") // an error stays and shows below
	if err := e.encoder.Encode(data); err != nil {
		return err
	}
	return e.out.WriteByte('\n')
}

func (e *events) flush() error {
	if err := e.out.Flush(); err != nil {
		return err
	}
	if e.flusher != nil {
		e.flusher.Flush()
	}
	return nil
}

// state says where calls come from, or what is wrong, at once.
func (e *events) state(source, note string) error {
	if err := e.add(eventState, TailState{source, note}); err != nil {
		return err
	}
	return e.flush()
}

// eventSchema describes the events, of which a stream has any number.
func eventSchema(r huma.Registry) *huma.Schema {
	var kinds []*huma.Schema
	for _, k := range []struct {
		name string
		data any
	}{{eventCall, Call{}}, {eventDropped, TailDropped{}}, {eventState, TailState{}}} {
		kinds = append(kinds, &huma.Schema{
			Title: "Event " + k.name, Type: huma.TypeObject, Required: []string{"event", "data"},
			Properties: map[string]*huma.Schema{
				"event": {Type: huma.TypeString, Enum: []any{k.name}},
				"data":  r.Schema(reflect.TypeOf(k.data), true, k.name),
			},
		})
	}
	return &huma.Schema{
		Title: "Server-sent events", Type: huma.TypeArray, Items: &huma.Schema{OneOf: kinds},
		Description: "Each item is one event, its data as JSON.",
	}
}

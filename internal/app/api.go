package app

import (
	"context"
	"errors"
	"net/http"
	"net/netip"
	"path"
	"reflect"
	"strings"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/release"
	"github.com/kongdao/kongdao/xds"
	"github.com/kongdao/kongdao/xds/explain"
	"github.com/kongdao/kongdao/xds/model"
)

// Version of the HTTP API.
const apiVersion = "1.0.0"

func (s *System) startAPI(ctx context.Context) error {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /healthz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.HandleFunc("GET /readyz", func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(http.StatusOK) })
	mux.Handle("GET /metrics", s.metricsHandler())
	s.routes(mux)
	addr, err := s.serveHTTP(ctx, "api", s.cfg.Listen.API, mux)
	s.addresses.API = addr
	return err
}

// routes are the typed operations; their OpenAPI description is at
// /api/v1/openapi.json.
func (s *System) routes(mux *http.ServeMux) {
	cfg := huma.DefaultConfig("KongDao", apiVersion)
	cfg.OpenAPIPath = "/api/v1/openapi"
	cfg.DocsPath, cfg.SchemasPath = "", "/api/v1/schemas"
	cfg.CreateHooks = nil // answers without a $schema field
	cfg.Components.Schemas = huma.NewMapRegistry("#/components/schemas/", schemaName)
	whole := humago.New(mux, cfg)
	whole.UseMiddleware(s.authenticate(whole))
	h := huma.NewGroup(whole)
	h.UseMiddleware(forOperators(whole))
	if s.xds != nil {
		huma.Get(h, "/api/v1/functions", s.listFunctions)
		huma.Get(h, "/api/v1/functions/{name}", s.getFunction)
		huma.Put(h, "/api/v1/functions/{name}/release", s.putRelease)
		huma.Get(h, "/api/v1/resources", s.getResources)
		huma.Get(h, "/api/v1/state", s.getState)
		huma.Get(h, "/api/v1/explain", s.getExplain)
		s.planRoutes(h)
		huma.Get(h, "/api/v1/config", s.getConfig)
		huma.Get(h, "/api/v1/gateways", s.getGateways)
		huma.Post(h, "/api/v1/gateways/promote", s.postPromote)
		huma.Post(h, "/api/v1/pins", s.postPin)
		huma.Delete(h, "/api/v1/pins/{id}", s.deletePin)
		huma.Put(h, "/api/v1/zones/{zone}", s.putZone)
		huma.Get(h, "/api/v1/zones/{zone}/precheck", s.getPrecheck)
		s.drillRoutes(h)
		s.switchRoutes(h)
		s.loadActiveRoutes(h)
		s.markRoutes(whole)
		huma.Get(h, "/api/v1/capacity/plan", s.getPlan)
		huma.Get(h, "/api/v1/capacity/gate/{name}", s.getGate)
		s.foundRoutes(h)
		s.liveRoutes(h)
	}
	if s.ch != nil {
		huma.Get(h, "/api/v1/calls/health", s.getHealth)
		huma.Get(h, "/api/v1/completeness", s.getCompleteness)
		s.callRoutes(whole)
		s.functionLogRoutes(whole)
		s.loadRunRoutes(h)
	}
	if s.collector != nil {
		s.collectorRoutes(h)
	}
	s.alertMessageRoutes(h)
	if s.alerting != nil {
		huma.Post(h, "/api/v1/robots/{name}/test", s.postRobotTest)
		s.alertRoutes(h)
		s.alertRuleRoutes(h)
		huma.Get(h, "/api/v1/alerts/oncall", s.getOnCall)
		s.claimRoutes(h)
	}
}

// schemaName puts the package before the type's name: several packages have a
// Function, each its own view of it.
func schemaName(t reflect.Type, hint string) string {
	for t.Kind() == reflect.Pointer {
		t = t.Elem()
	}
	name := huma.DefaultSchemaNamer(t, hint)
	if t.PkgPath() == "" {
		return name
	}
	pkg := path.Base(t.PkgPath())
	return strings.ToUpper(pkg[:1]) + pkg[1:] + name
}

type body[T any] struct{ Body T }

func reply[T any](v T) *body[T] { return &body[T]{v} }

// Function is a function as it is written and as it is served.
type Function struct {
	Function *api.Function     `json:"function"`
	State    xds.FunctionState `json:"state"`
	Release  release.State     `json:"release"`
}

// FunctionList is the answer to GET /functions.
type FunctionList struct {
	Functions []Function `json:"functions"`
}

func (s *System) listFunctions(context.Context, *struct{}) (*body[FunctionList], error) {
	states := map[string]xds.FunctionState{}
	for _, f := range s.xds.State().Functions {
		states[f.Name] = f
	}
	list := FunctionList{Functions: []Function{}}
	for _, f := range s.registry.Current().Set.Functions {
		released, _ := s.releases.State(f.Name)
		list.Functions = append(list.Functions, Function{Function: f, State: states[f.Name], Release: released})
	}
	return reply(list), nil
}

type nameInput struct {
	Name string `path:"name"`
}

func (s *System) getFunction(ctx context.Context, in *nameInput) (*body[Function], error) {
	all, err := s.listFunctions(ctx, nil)
	if err != nil {
		return nil, err
	}
	for _, f := range all.Body.Functions {
		if f.Function.Name == in.Name {
			return reply(f), nil
		}
	}
	return nil, huma.Error404NotFound("there is no function " + in.Name)
}

// Resources says which resources are in force and what keeps others out.
type Resources struct {
	Version  uint64       `json:"version"`
	Problems api.Problems `json:"problems"`
}

func (s *System) getResources(context.Context, *struct{}) (*body[Resources], error) {
	c := s.registry.Current()
	if c.Problems == nil {
		c.Problems = api.Problems{}
	}
	return reply(Resources{Version: c.Version, Problems: c.Problems}), nil
}

func (s *System) getState(context.Context, *struct{}) (*body[xds.State], error) {
	state := s.xds.State()
	shifts := s.moved.current()
	for i, z := range state.Zones {
		if until := shifts[z.Name].Until; !until.IsZero() {
			state.Zones[i].Until = &until
		}
	}
	return reply(state), nil
}

type explainInput struct {
	Method string   `query:"method" default:"GET"`
	URL    string   `query:"url" required:"true"`
	Header []string `query:"header,explode" doc:"name: value"`
	Client string   `query:"client" doc:"address that the request comes from; empty: one that is let in"`

	Gateway string `query:"gateway" doc:"as this connected gateway sees it"`
	Group   string `query:"group" doc:"as the gateways of this group see it; empty: default"`
	Zone    string `query:"zone" doc:"as gateways in this zone see it; empty: all together"`
}

func (s *System) getExplain(_ context.Context, in *explainInput) (*body[explain.Answer], error) {
	r, err := explain.ParseRequest(in.Method, in.URL, in.Header)
	if err != nil {
		return nil, huma.Error422UnprocessableEntity(err.Error())
	}
	if in.Client != "" {
		if r.Client, err = netip.ParseAddr(in.Client); err != nil {
			return nil, huma.Error422UnprocessableEntity("client: want an IP address")
		}
	}
	w, place, err := s.seenFrom(in.Gateway, in.Group, in.Zone)
	if err != nil {
		return nil, huma.Error404NotFound(err.Error())
	}
	r.From = place
	return reply(s.explain(w, r)), nil
}

// Explain says what the gateway does with a request at this moment.
func (s *System) Explain(r explain.Request) explain.Answer { return s.explain(s.xds.World(), r) }

func (s *System) explain(w *model.World, r explain.Request) explain.Answer {
	answer := explain.Describe(w, r, s.xds.Layout())
	s.addUse(&answer)
	return answer
}

// addUse adds how much of the function's limit is in use, as gateways report it.
func (s *System) addUse(a *explain.Answer) {
	var all []explain.Share
	limit := 0.0
	for _, x := range s.xds.Shares(a.Function) {
		if x.Part > 0 {
			limit = x.Limit / x.Part
		}
		all = append(all, explain.Share{Gateway: x.Node, RequestsPerSecond: x.Limit, Known: x.Known, Admitted: x.Admitted, Refused: x.Refused})
	}
	a.InUse(limit, all)
}

// PinRequest asks for one pod of a function.
type PinRequest struct {
	Function string `json:"function"`
	Address  string `json:"address,omitempty" doc:"the pod; empty: the first that is ready"`
	Seconds  int    `json:"seconds,omitempty" doc:"lease; 0: 10 minutes" minimum:"0" maximum:"7200"`
}

// Pin is a pod that only requests with the header reach.
type Pin struct {
	ID      string `json:"id"`
	Address string `json:"address"`
	Header  string `json:"header"`
	Value   string `json:"value"`
}

func (s *System) postPin(ctx context.Context, in *body[PinRequest]) (*body[Pin], error) {
	seconds := in.Body.Seconds
	if seconds == 0 {
		seconds = 600
	}
	p, err := s.Pin(ctx, in.Body.Function, in.Body.Address, time.Duration(seconds)*time.Second)
	if err != nil {
		return nil, huma.Error409Conflict(err.Error())
	}
	return reply(p), nil
}

// Pin takes a pod out of rotation for at most ttl and returns when every gateway
// knows. An empty address takes the function's first ready pod.
func (s *System) Pin(ctx context.Context, function, address string, ttl time.Duration) (Pin, error) {
	if address == "" {
		var err error
		if address, err = s.readyPod(function); err != nil {
			return Pin{}, err
		}
	}
	id, pin, err := s.moved.take(function, address, ttl)
	if err != nil {
		return Pin{}, err
	}
	if err := s.xds.WaitLive(ctx); err != nil {
		s.moved.release(id)
		return Pin{}, err
	}
	return Pin{ID: id, Address: address, Header: pin.Header, Value: pin.Value}, nil
}

// Unpin gives the pod back.
func (s *System) Unpin(id string) { s.moved.release(id) }

func (s *System) readyPod(function string) (string, error) {
	if w := s.xds.World(); w != nil {
		if f := w.Function(function); f != nil {
			for _, share := range f.Split {
				for _, p := range share.Revision.Pods {
					if p.Ready && p.InRotation() {
						return p.Address, nil
					}
				}
			}
			return "", errors.New("no pod of " + function + " is ready")
		}
	}
	return "", errors.New("there is no function " + function)
}

func (s *System) deletePin(_ context.Context, in *struct {
	ID string `path:"id"`
},
) (*struct{}, error) {
	s.Unpin(in.ID)
	return nil, nil
}

func (s *System) postRobotTest(ctx context.Context, in *nameInput) (*struct{}, error) {
	if err := s.alerting.Test(ctx, in.Name); err != nil {
		return nil, huma.Error502BadGateway(err.Error())
	}
	return nil, nil
}

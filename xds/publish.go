package xds

import (
	"context"
	"log/slog"
	"maps"
	"net/netip"
	"runtime/debug"
	"slices"
	"sync/atomic"
	"time"

	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"
	"google.golang.org/protobuf/types/known/anypb"

	"github.com/kongdao/kongdao/xds/canary"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/serve"
	"github.com/kongdao/kongdao/xds/translate"
)

// publisher brings a World to the gateways. Only the reconciling goroutine uses it.
type publisher struct {
	config Config
	group  string
	serve  *serve.Group
	log    *slog.Logger
	gone   map[string]time.Time // clusters that no World has any more, and since when
	broken map[string]broken    // functions and rules that were refused
	canary *canary.Canary       // nil: none is wanted
	blind  bool                 // something was published that no canary has tried
	litter time.Time            // when much was published; zero: it was tidied since
	input  model.Input          // of the World that is being prepared
	again  time.Time            // when to try it, at the earliest
	behind map[string]bool      // shards that were held back since they were last whole
	held   error                // resources that no function is to blame for, and that did not go out
	listed []Quarantine         // what is in quarantine

	postponed map[string]bool // functions that stay as they were until the canary has decided over them

	last   *model.World                            // the last one that was published; nil before
	tamper *atomic.Pointer[func(*translate.Delta)] // tests put in what no resource can say

	bridged map[string]*anypb.Any            // endpoints that follow their bridge
	viewed  map[string]map[string]*anypb.Any // the same of zones, by zone
	cross   time.Time                        // when they follow
	direct  *direct                          // to callers without a gateway; nil: there are none
}

// bridgeTime is how long the replaced pods of a revision stay beside the new ones:
// long enough for a gateway to have checked these twice.
const bridgeTime = time.Second

// delta is what changes, ready to be sent.
type delta struct {
	put      map[string]map[string]*anypb.Any // by type and name
	bridges  map[string]*anypb.Any            // endpoints to be sent before those in put
	views    map[string]map[string]*anypb.Any // endpoints by zone and name, see translate.Delta
	nodes    map[string]map[string]*anypb.Any // routes by gateway and name, see translate.Delta
	removed  []string                         // clusters that left the World
	present  []string                         // clusters that are in it, changed or not
	unscoped []string                         // scopes

	translated *translate.Delta // what put was made of
}

// publish makes the World of an input live. Functions that fail the preflight are
// quarantined in it.
func (p *publisher) publish(ctx context.Context, in model.Input) (*model.World, error) {
	clear(p.postponed)
	in, err := p.begin(ctx, in)
	if err != nil {
		return nil, err
	}
	world, d, err := p.prepare(ctx, in)
	if err != nil {
		return nil, err
	}
	p.send(ctx, world, d)
	p.serve.Open()
	if len(p.postponed) > 0 {
		p.log.Info("functions stay as they were until the canary Envoy has decided over their clusters",
			"functions", slices.Sorted(maps.Keys(p.postponed)))
	}
	now := p.quarantined(world)
	p.report(p.listed, now)
	p.listed = now
	return world, p.held
}

// batch is how many functions are translated together where there are many: what
// they become is some twenty times as large before it is marshalled.
const batch = 500

// begin makes the first World in batches, while gateways wait for the last of them,
// and returns what is left to be published.
func (p *publisher) begin(ctx context.Context, in model.Input) (model.Input, error) {
	if p.last != nil {
		return in, nil
	}
	for end := batch; end < len(in.Set.Functions); end += batch {
		part := in
		part.Set.Functions = in.Set.Functions[:end]
		world, d, err := p.prepare(ctx, part)
		if err != nil {
			return in, err
		}
		p.send(ctx, world, d)
		in.Touched = map[string]bool{} // readiness is what it was for this one
	}
	return in, nil
}

// send puts what differs where gateways get it from, in the order of dependence.
func (p *publisher) send(ctx context.Context, world *model.World, d *delta) {
	p.keep(d, time.Now())
	changed := p.serve.Update(resource.ClusterType, d.put[resource.ClusterType], nil)
	p.serve.Update(resource.EndpointType, p.bridge(d, time.Now()), nil)
	p.updateViews(world, d)
	p.direct.send(world)
	if len(changed) > 0 && p.last != nil && p.serve.IsOpen() {
		p.warm(ctx)
	}
	if len(changed) >= batch/2 {
		p.litter = time.Now()
	}
	p.serve.Update(resource.SecretType, d.put[resource.SecretType], nil)
	p.serve.Update(resource.ExtensionConfigType, d.put[resource.ExtensionConfigType], nil)
	p.serve.Update(resource.ListenerType, d.put[resource.ListenerType], nil)
	p.serve.UpdateNodes(d.put[resource.RouteType], d.nodes)
	maps.DeleteFunc(p.behind, func(name string, _ bool) bool { return d.put[resource.RouteType][name] != nil })
	p.serve.Update(resource.ScopedRouteType, d.put[resource.ScopedRouteType], d.unscoped)
	p.last = world
}

// tidy gives memory back some time after much was published: what a configuration
// is made of on its way is several times as large as what stays, and without it the
// process would keep that for minutes.
func (p *publisher) tidy(now time.Time) {
	if !p.litter.IsZero() && now.Sub(p.litter) > 2*time.Second {
		p.litter = time.Time{}
		debug.FreeOSMemory()
	}
}

// bridge returns the endpoints to be sent now, and keeps those that follow.
func (p *publisher) bridge(d *delta, now time.Time) map[string]*anypb.Any {
	send := maps.Clone(d.put[resource.EndpointType])
	for name := range send {
		delete(p.bridged, name) // overtaken
	}
	for name, both := range d.bridges {
		if last, ok := send[name]; ok {
			p.bridged[name], send[name] = last, both
			p.cross = now.Add(bridgeTime)
		}
	}
	return send
}

// warm waits until the gateways have accepted new clusters, which they do when
// their pods have been checked. A gateway that takes too long does not keep routes
// from the others.
func (p *publisher) warm(ctx context.Context) {
	if p.config.WarmTimeout == 0 {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, p.config.WarmTimeout.Std())
	defer cancel()
	if err := p.serve.WaitAcked(ctx, resource.ClusterType, resource.EndpointType); err != nil && ctx.Err() != nil {
		p.log.Warn("gateways are slow to warm new revisions", "error", err)
	}
}

// keep starts the grace of clusters that left the World and ends that of those
// that came back, changed or not.
func (p *publisher) keep(d *delta, now time.Time) {
	for _, name := range d.removed {
		p.gone[name] = now
	}
	for _, name := range d.present {
		delete(p.gone, name)
	}
}

// sweep takes the old pods of bridges away, and removes clusters that are past
// their grace, then their endpoints.
func (p *publisher) sweep(now time.Time) {
	if len(p.bridged) > 0 && !p.cross.After(now) {
		p.serve.Update(resource.EndpointType, p.bridged, nil)
		clear(p.bridged)
		p.crossViews()
	}
	var names []string
	for name, since := range p.gone {
		if !since.Add(p.config.RemovedClusterGrace.Std()).After(now) {
			names = append(names, name)
			delete(p.gone, name)
		}
	}
	p.serve.Update(resource.ClusterType, nil, names)
	p.serve.Update(resource.EndpointType, nil, names)
}

// nextSweep is when sweep has something to do.
func (p *publisher) nextSweep() (next time.Time, ok bool) {
	for _, since := range p.gone {
		if due := since.Add(p.config.RemovedClusterGrace.Std()); !ok || due.Before(next) {
			next, ok = due, true
		}
	}
	if len(p.bridged) > 0 && (!ok || p.cross.Before(next)) {
		next, ok = p.cross, true
	}
	return next, ok
}

// translation is the part of a valid configuration that gateways see.
func (c Config) translation() translate.Config {
	at := netip.MustParseAddrPort(c.Gateway)
	return translate.Config{
		Address: at.Addr().String(), Port: uint32(at.Port()),
		AccessLog: c.AccessLog, AccessLogFormat: c.AccessLogFormat,
		ALS: c.ALS, ALSHeaders: c.ALSHeaders, Shards: c.Shards, TLS: c.TLS.translation(),
		TrustedHops: c.TrustedHops, TrustedProxies: c.proxies(), TrustedCA: c.TrustedCA,
		MarkHeader: c.MarkHeader,
	}
}

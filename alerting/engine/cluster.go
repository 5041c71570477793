package engine

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/alertmanager/cluster"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/client_golang/prometheus"
)

// ClusterConfig says with whom silences and the notification log are shared.
type ClusterConfig struct {
	Listen    string   // host:port of gossip, TCP and UDP
	Advertise string   // host:port at which peers reach it; empty: Listen
	Peers     []string // host:port of others' Listen; one that is there is enough
	// PeerTimeout is how long each instance waits for those before it to tell. What
	// they accepted is known to all a moment later, so it can be short.
	PeerTimeout time.Duration
}

// Validate names every field that is wrong.
func (c ClusterConfig) Validate() error {
	var errs []error
	check := func(field, address string) {
		host, port, err := net.SplitHostPort(address)
		if err != nil || port == "" || host == "" && field != "listen" {
			errs = append(errs, fmt.Errorf("cluster.%s: %q, must be host:port", field, address))
		}
	}
	check("listen", c.Listen)
	if c.Advertise != "" {
		check("advertise", c.Advertise)
	}
	for i, p := range c.Peers {
		check(fmt.Sprintf("peers[%d]", i), p)
	}
	if c.PeerTimeout <= 0 {
		errs = append(errs, fmt.Errorf("cluster.peerTimeout: %s, must be positive", c.PeerTimeout))
	}
	return errors.Join(errs...)
}

// settleStep is how long the members of a cluster have to stay the same, three times
// in a row, before anything is told.
const settleStep = 500 * time.Millisecond

// reconnect is how often those who are gone are tried again.
const reconnect = 2 * time.Second

// Cluster is Alertmanager's: instances that know each other by gossip.
//
// It cannot be given back: Alertmanager's code has no way to close its port but the
// end of the process.
type Cluster struct {
	cfg   ClusterConfig
	peer  *cluster.Peer
	known *known
	tell  cluster.ClusterChannel
}

// NewCluster binds the port; it speaks to nobody before Run.
func NewCluster(cfg ClusterConfig, log *slog.Logger, reg prometheus.Registerer) (*Cluster, error) {
	if err := cfg.Validate(); err != nil {
		return nil, err
	}
	p, err := cluster.Create(log, reg, cfg.Listen, cfg.Advertise, cfg.Peers, false,
		cluster.DefaultPushPullInterval, cluster.DefaultGossipInterval, cluster.DefaultTCPTimeout, cluster.DefaultResolvePeersTimeout,
		cluster.DefaultProbeTimeout, cluster.DefaultProbeInterval, nil, true, "", "")
	if err != nil {
		return nil, fmt.Errorf("cluster: %w", err)
	}
	c := &Cluster{cfg: cfg, peer: p, known: &known{all: map[string]Instance{}}}
	c.tell = p.AddState("instances", c.known, reg)
	return c, nil
}

// Addr is where gossip listens, host:port as peers see it.
func (c *Cluster) Addr() string { return c.peer.Self().Address() }

// Run joins the others, and leaves them when ctx ends. It may be called once.
func (c *Cluster) Run(ctx context.Context) error {
	// Those who cannot be reached now are tried again and again.
	_ = c.peer.Join(reconnect, cluster.DefaultReconnectTimeout)
	c.peer.Settle(ctx, settleStep)
	<-ctx.Done()
	if err := c.peer.Leave(5 * time.Second); err != nil {
		return fmt.Errorf("leave cluster: %w", err)
	}
	return nil
}

// Settled returns when the others are known, or ctx ends.
func (c *Cluster) Settled(ctx context.Context) error { return c.peer.WaitReady(ctx) }

// forPipeline is how long this instance gives those before it, and whom it waits for
// at the start; nobody for a nil Cluster.
func (c *Cluster) forPipeline() (wait func() time.Duration, peer notify.Peer) {
	if c == nil {
		return func() time.Duration { return 0 }, nil
	}
	return func() time.Duration { return time.Duration(c.peer.Position()) * c.cfg.PeerTimeout }, c.peer
}

// lately is how long a group is left alone after anybody has told of it: instances see
// the same some seconds apart. 0 for the first of them, and for a nil Cluster.
func (c *Cluster) lately() time.Duration {
	if c == nil || c.peer.Position() == 0 {
		return 0
	}
	return 3 * c.cfg.PeerTimeout
}

// forAPI is what API v2 tells of the cluster.
func (c *Cluster) forAPI() cluster.ClusterPeer {
	if c == nil {
		return nil
	}
	return c.peer
}

// Instance is what one tells the others of itself.
type Instance struct {
	ID      string    `json:"id"`      // outlives restarts
	Member  string    `json:"member"`  // of the cluster; anew at each start
	Address string    `json:"address"` // where its outbox is mirrored, host:port
	Since   time.Time `json:"since"`
}

// Announce tells the others of this instance.
func (c *Cluster) Announce(id, address string) {
	i := Instance{ID: id, Member: c.peer.Name(), Address: address, Since: time.Now()}
	c.known.add(i)
	if text, err := json.Marshal([]Instance{i}); err == nil {
		c.tell.Broadcast(text)
	}
}

// Others are all instances that were ever heard of but this one, and whether they are
// there now. First reports whether this one comes before all others that are there.
func (c *Cluster) Others() (there, gone []Instance, isFirst bool) {
	members := map[string]bool{}
	isFirst = true
	for _, m := range c.peer.Peers() {
		members[m.Name()] = true
		isFirst = isFirst && c.peer.Name() <= m.Name()
	}
	for _, i := range c.known.list() {
		switch {
		case i.Member == c.peer.Name():
		case members[i.Member]:
			there = append(there, i)
		default:
			gone = append(gone, i)
		}
	}
	return there, gone, isFirst
}

// known are the instances, by ID.
type known struct {
	mu  sync.Mutex
	all map[string]Instance
}

func (k *known) add(is ...Instance) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, i := range is {
		if i.ID != "" && i.Since.After(k.all[i.ID].Since) {
			k.all[i.ID] = i
		}
	}
}

func (k *known) list() (all []Instance) {
	k.mu.Lock()
	defer k.mu.Unlock()
	for _, i := range k.all {
		all = append(all, i)
	}
	slices.SortFunc(all, func(a, b Instance) int { return a.Since.Compare(b.Since) })
	return all
}

// MarshalBinary is what a peer that joins is told.
func (k *known) MarshalBinary() ([]byte, error) { return json.Marshal(k.list()) }

// Merge takes what a peer tells.
func (k *known) Merge(text []byte) error {
	var all []Instance
	if err := json.Unmarshal(text, &all); err != nil {
		return fmt.Errorf("decode instances: %w", err)
	}
	k.add(all...)
	return nil
}

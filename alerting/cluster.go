package alerting

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/engine"
	"github.com/kongdao/kongdao/alerting/outbox"
)

// Cluster says with which other instances this one shares silences, what was told,
// and what waits to be told. Each scrapes and evaluates by itself; one tells.
type Cluster struct {
	Listen    string   // host:port of gossip, TCP and UDP; empty: this instance is alone
	Advertise string   // host:port at which the others reach it; empty: Listen
	Peers     []string // host:port of the others' Listen
	// ListenOutbox is host:port of where others mirror the outbox; empty: any port of
	// the host of Listen. Whoever reaches it can have messages sent.
	ListenOutbox    string
	AdvertiseOutbox string // host:port at which the others reach that; empty: where it listens
	// PeerTimeout is how long each instance waits for those before it to tell; 0: 5 s.
	PeerTimeout time.Duration
}

// peerTimeout is how long an instance waits for each before it: acceptance takes
// milliseconds, and gossip of it less than a second.
const peerTimeout = 5 * time.Second

// takeOverAfter is how long an instance is gone for the others, which takes some
// seconds to be known, before they tell what waits in it.
const takeOverAfter = 2 * time.Second

// holdFor bounds how long a start waits for the others to say what they have taken
// over. Without an answer, what waited is told, perhaps again.
const holdFor = 10 * time.Second

func (c Cluster) engine() engine.ClusterConfig {
	return engine.ClusterConfig{Listen: c.Listen, Advertise: c.Advertise, Peers: c.Peers, PeerTimeout: cmp.Or(c.PeerTimeout, peerTimeout)}
}

// Validate names every field that is wrong.
func (c Cluster) Validate() error {
	if c.Listen == "" {
		if c.Advertise != "" || c.ListenOutbox != "" || c.AdvertiseOutbox != "" || len(c.Peers) > 0 {
			return errors.New("cluster.listen: must be host:port where there are peers")
		}
		return nil
	}
	errs := []error{c.engine().Validate()}
	if c.ListenOutbox != "" {
		if _, _, err := net.SplitHostPort(c.ListenOutbox); err != nil {
			errs = append(errs, fmt.Errorf("cluster.listenOutbox: %q, must be host:port", c.ListenOutbox))
		}
	}
	return errors.Join(errs...)
}

// accept puts a group into the outbox and returns when the peers that answer have it,
// too. What one of them has just accepted is not accepted again.
func (a *Alerter) accept(channel string, g dingtalk.Group) error {
	if a.peers == nil {
		return a.put(channel, g)
	}
	if a.outbox.Knows(channel, g, 3*a.peers.cfg.engine().PeerTimeout) {
		return nil
	}
	if err := a.put(channel, g); err != nil {
		return err
	}
	a.outbox.Safe()
	return nil
}

// clustering runs this instance's part in a cluster, if there is one.
func (a *Alerter) clustering(ctx context.Context) error {
	if a.peers == nil {
		<-ctx.Done()
		return nil
	}
	return a.peers.run(ctx)
}

// AddrCluster is where gossip listens, host:port, and where others mirror the outbox;
// empty without a cluster.
func (a *Alerter) AddrCluster() (gossip, mirror string) {
	if a.peers == nil {
		return "", ""
	}
	return a.peers.cluster.Addr(), a.peers.listener.Addr().String()
}

// peers is this instance's part in a cluster.
type peers struct {
	cfg      Cluster
	log      *slog.Logger
	cluster  *engine.Cluster
	outbox   *outbox.Outbox // set before run
	listener net.Listener
	client   *http.Client
}

func newPeers(cfg Cluster, log *slog.Logger, reg prometheus.Registerer) (*peers, error) {
	if cfg.Listen == "" {
		return nil, nil //nolint:nilnil // alone
	}
	at := cfg.ListenOutbox
	if at == "" {
		host, _, _ := net.SplitHostPort(cfg.Listen) // validated
		at = net.JoinHostPort(host, "0")
	}
	l, err := net.Listen("tcp", at)
	if err != nil {
		return nil, fmt.Errorf("listen for peers: %w", err)
	}
	c, err := engine.NewCluster(cfg.engine(), log, reg)
	if err != nil {
		return nil, errors.Join(err, l.Close())
	}
	t := &http.Transport{MaxIdleConnsPerHost: 2, IdleConnTimeout: time.Minute}
	stay := func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	return &peers{cfg: cfg, log: log, cluster: c, listener: l, client: &http.Client{Transport: t, CheckRedirect: stay}}, nil
}

// prepare, join and Close do nothing for a nil peers.

// prepare makes an outbox one that peers mirror.
func (p *peers) prepare(o *outbox.Config) {
	if p != nil {
		o.Mirrored, o.Hold = true, p.hold
	}
}

func (p *peers) join(o *outbox.Outbox, e *engine.Config) {
	if p != nil {
		p.outbox, e.Cluster = o, p.cluster
	}
}

func (p *peers) Close() error {
	if p == nil {
		return nil
	}
	return p.listener.Close()
}

// address is where others reach the mirror.
func (p *peers) address() string {
	if p.cfg.AdvertiseOutbox != "" {
		return p.cfg.AdvertiseOutbox
	}
	_, port, _ := net.SplitHostPort(p.listener.Addr().String())
	host, _, _ := net.SplitHostPort(p.cluster.Addr())
	return net.JoinHostPort(host, port)
}

// hold keeps what waited in the last run from being sent until the others have said
// what they took over of it.
func (p *peers) hold(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, holdFor)
	defer cancel()
	if p.cluster.Settled(ctx) != nil {
		return
	}
	there, _, _ := p.cluster.Others()
	for _, i := range there {
		if err := p.outbox.AskTaken(ctx, p.client, "http://"+i.Address); err != nil {
			p.log.Warn("a peer does not say what it has taken over, messages may come twice", "peer", i.Address, "err", err)
		}
	}
}

// run works until ctx ends.
func (p *peers) run(ctx context.Context) error {
	var running sync.WaitGroup
	server := &http.Server{Handler: p.outbox.Mirrors(), ReadHeaderTimeout: 10 * time.Second}
	running.Go(func() { _ = server.Serve(p.listener) })
	p.cluster.Announce(p.outbox.ID(), p.address())
	running.Go(func() { p.follow(ctx, &running) })
	err := p.cluster.Run(ctx)
	_ = server.Close()
	running.Wait()
	p.client.CloseIdleConnections()
	return err
}

// follow keeps those who are there up to date, and takes over from those who are not.
func (p *peers) follow(ctx context.Context, running *sync.WaitGroup) {
	tick := time.NewTicker(200 * time.Millisecond)
	defer tick.Stop()
	links := map[string]context.CancelFunc{} // by member
	missed := map[string]time.Time{}         // since when they are gone
	for {
		select {
		case <-ctx.Done():
			for _, stop := range links {
				stop()
			}
			return
		case <-tick.C:
		}
		there, gone, first := p.cluster.Others()
		now := map[string]bool{}
		for _, i := range there {
			delete(missed, i.ID)
			now[i.Member] = true
			if links[i.Member] == nil {
				own, stop := context.WithCancel(ctx)
				links[i.Member] = stop
				running.Go(func() { p.outbox.Follow(own, p.client, "http://"+i.Address) })
			}
		}
		for member, stop := range links {
			if !now[member] {
				stop()
				delete(links, member)
			}
		}
		p.takeOver(gone, missed, first)
	}
}

func (p *peers) takeOver(gone []engine.Instance, missed map[string]time.Time, first bool) {
	for _, i := range gone {
		since, known := missed[i.ID]
		if !known {
			missed[i.ID] = time.Now()
			continue
		}
		if !first || time.Since(since) < takeOverAfter {
			continue
		}
		n, err := p.outbox.TakeOver(i.ID)
		if err != nil {
			p.log.Error("what waits in a peer that is gone cannot be taken over", "peer", i.Address, "err", err)
		} else if n > 0 {
			p.log.Warn("a peer is gone, what waited in it is told from here", "peer", i.Address, "messages", n)
		}
	}
}

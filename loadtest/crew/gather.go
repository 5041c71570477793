package crew

import (
	"context"
	"errors"
	"fmt"
	"net"
	"sync"
	"time"
)

// member is an agent that has joined.
type member struct {
	*line
	name   string
	offset time.Duration // its clock ahead of ours
	unsure time.Duration // by which the offset may be wrong
}

// gather waits for as many agents as there have to be. What is wrong with one that
// may not join is logged, and told to it.
func (c *Coordinator) gather(ctx context.Context) ([]*member, error) {
	waiting, cancel := context.WithTimeout(ctx, c.config.Wait)
	defer cancel()
	joined := make(chan *member)
	var greeting sync.WaitGroup
	defer greeting.Wait()
	defer cancel()
	context.AfterFunc(waiting, func() { _ = c.listener.Close() }) // at the end of gather, too: late ones are refused
	greeting.Go(func() {
		for {
			conn, err := c.listener.Accept()
			if err != nil {
				return
			}
			greeting.Go(func() { c.greet(waiting, conn, joined) })
		}
	})
	var members []*member
	names := map[string]int{}
	// An agent that leaves while others are awaited must be noticed now, not at the begin:
	// it gets asked for the time again and again.
	ticker := time.NewTicker(time.Second)
	defer ticker.Stop()
	for len(members) < c.config.Agents {
		select {
		case m := <-joined:
			if names[m.name]++; names[m.name] > 1 {
				m.name = fmt.Sprintf("%s-%d", m.name, names[m.name])
			}
			members = append(members, m)
			c.log.Info("agent joined", "name", m.name, "clock offset", m.offset, "±", m.unsure, "have", len(members), "want", c.config.Agents)
		case <-ticker.C:
			members = c.still(members)
		case <-waiting.Done():
			if ctx.Err() != nil {
				return members, ctx.Err()
			}
			return members, fmt.Errorf("%d of %d agents have joined within %v", len(members), c.config.Agents, c.config.Wait)
		}
	}
	return members, nil
}

// still are those that answer.
func (c *Coordinator) still(members []*member) []*member {
	var here []*member
	for _, m := range members {
		if err := m.askClock(c.config.Dead); err != nil {
			c.log.Warn("agent has left", "name", m.name, "because", err)
			_ = m.conn.Close()
			continue
		}
		here = append(here, m)
	}
	return here
}

func (c *Coordinator) greet(ctx context.Context, conn net.Conn, joined chan<- *member) {
	unblock := context.AfterFunc(ctx, func() { _ = conn.SetDeadline(time.Now()) })
	m, err := c.welcome(conn)
	if !unblock() || err != nil {
		if err != nil && ctx.Err() == nil {
			c.log.Warn("agent may not join", "from", conn.RemoteAddr().String(), "because", err)
		}
		_ = conn.Close()
		return
	}
	select {
	case joined <- m:
	case <-ctx.Done():
		_ = conn.Close()
	}
}

var errToken = errors.New("wrong token")

func (c *Coordinator) welcome(conn net.Conn) (*member, error) {
	l := newLine(conn)
	nonce := newNonce()
	if err := l.send(message{Nonce: nonce}); err != nil {
		return nil, err
	}
	first, err := l.receive(c.config.Dead, maxGreeting)
	if err != nil {
		return nil, err
	}
	h := first.Hello
	if h == nil || h.Nonce == "" || !proves(h.Proof, proof(c.config.Token, "agent", nonce, h.Nonce)) {
		_ = l.send(message{Refused: errToken.Error()})
		return nil, errToken
	}
	if err := l.send(message{Welcome: proof(c.config.Token, "coordinator", h.Nonce, nonce)}); err != nil {
		return nil, err
	}
	m := &member{line: l, name: h.Name}
	if m.name == "" {
		m.name = conn.RemoteAddr().String()
	}
	if err := m.compareClocks(c.config.Dead); err != nil {
		return nil, err
	}
	if off := max(m.offset, -m.offset) + m.unsure; off > c.config.MaxOffset {
		err := fmt.Errorf("clock is off by %v ± %v, more than %v: set it, or allow more with --max-clock-offset", m.offset, m.unsure, c.config.MaxOffset)
		_ = l.send(message{Refused: err.Error()})
		return nil, fmt.Errorf("agent %s: %w", m.name, err)
	}
	return m, nil
}

// roundTrips are how often a clock is asked; the quickest answer counts.
const roundTrips = 10

// compareClocks is Cristian's way: the answer was given some time between asking and
// hearing, so the offset is known to half of the round trip.
//
//	offset = tₐ − (t₀ + t₁)/2 ± (t₁ − t₀)/2
func (m *member) compareClocks(wait time.Duration) error {
	m.unsure = time.Duration(1<<63 - 1)
	for range roundTrips {
		if err := m.askClock(wait); err != nil {
			return err
		}
	}
	return nil
}

// askClock keeps the offset when it is better known than before.
func (m *member) askClock(wait time.Duration) error {
	asked := time.Now()
	if err := m.send(message{Ask: true}); err != nil {
		return err
	}
	answer, err := m.receive(wait, maxGreeting)
	if err != nil {
		return err
	}
	took := time.Since(asked)
	if took/2 < m.unsure {
		m.unsure = took / 2
		m.offset = time.Unix(0, answer.Clock).Sub(asked.Add(took / 2).Round(0))
	}
	return nil
}

package crew

import (
	"cmp"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"os"
	"time"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

// AgentConfig is how an agent joins a run.
type AgentConfig struct {
	Coordinator string           // host:port
	Name        string           // empty: the machine's
	Token       api.Secret       // that the coordinator was given
	TLS         *tls.Config      // nil: none
	Limits      scenario.Limits  // of this agent's share, whoever asks for more
	Files       scenario.Files   // what of this machine a scenario may read; zero: nothing
	Wait        time.Duration    // how long the coordinator may take to come up
	Dead        time.Duration    // how long it may be silent
	Clock       func() time.Time // nil: time.Now
	Progress    func(attack.Progress)
}

// DefaultAgentConfig waits 5 minutes for the coordinator and gives up when it was
// silent for 5 s.
func DefaultAgentConfig() AgentConfig {
	return AgentConfig{Limits: scenario.DefaultLimits(), Wait: 5 * time.Minute, Dead: 5 * time.Second}
}

// Validate reports every field that is wrong.
func (c AgentConfig) Validate() error {
	var errs []error
	if _, _, err := net.SplitHostPort(c.Coordinator); err != nil {
		errs = append(errs, fmt.Errorf("coordinator: %w", err))
	}
	if c.Wait < 0 || c.Dead <= 0 {
		errs = append(errs, errors.New("wait and dead: must be above 0"))
	}
	if err := c.Limits.Validate(); err != nil {
		errs = append(errs, fmt.Errorf("limits: %w", err))
	}
	return errors.Join(errs...)
}

// Agent carries out a share of one run. It is used once.
type Agent struct {
	config AgentConfig
	log    *slog.Logger
}

// NewAgent connects to nobody yet.
func NewAgent(c AgentConfig, log *slog.Logger) (*Agent, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	if c.Clock == nil {
		c.Clock = time.Now
	}
	if c.Name == "" {
		c.Name, _ = os.Hostname() // the coordinator names those without
	}
	return &Agent{config: c, log: log}, nil
}

// Run joins, waits for the begin, carries out the share and reports it. It returns
// nil when the coordinator has the report, also of a run that was stopped.
func (a *Agent) Run(ctx context.Context) error {
	conn, err := a.dial(ctx)
	if err != nil {
		return err
	}
	defer conn.Close() // again
	l := newLine(conn)
	unblock := context.AfterFunc(ctx, func() { _ = conn.SetReadDeadline(time.Now()) })
	err = a.greet(l)
	if !unblock() {
		return ctx.Err()
	}
	if err != nil {
		return fmt.Errorf("join %s: %w", a.config.Coordinator, err)
	}
	a.log.Info("joined", "coordinator", a.config.Coordinator, "as", a.config.Name)
	in := l.open(a.config.Dead)
	defer in.close()
	defer conn.Close()
	j, begin, err := a.await(ctx, l, in)
	if err != nil {
		return cmp.Or(ctx.Err(), fmt.Errorf("wait for the run: %w", err))
	}
	return a.carryOut(ctx, l, in, j, begin)
}

// dial tries again until the coordinator is there.
func (a *Agent) dial(ctx context.Context) (net.Conn, error) {
	ctx, cancel := context.WithTimeout(ctx, max(a.config.Wait, time.Second))
	defer cancel()
	for {
		conn, err := a.connect(ctx)
		if err == nil {
			return conn, nil
		}
		select {
		case <-time.After(200 * time.Millisecond):
		case <-ctx.Done():
			return nil, fmt.Errorf("reach %s: %w", a.config.Coordinator, err)
		}
	}
}

func (a *Agent) connect(ctx context.Context) (net.Conn, error) {
	d := &net.Dialer{Timeout: 2 * time.Second}
	if a.config.TLS != nil {
		return (&tls.Dialer{NetDialer: d, Config: a.config.TLS}).DialContext(ctx, "tcp", a.config.Coordinator)
	}
	return d.DialContext(ctx, "tcp", a.config.Coordinator)
}

// greet proves the token to the coordinator and asks for its proof.
func (a *Agent) greet(l *line) error {
	first, err := l.receive(a.config.Dead, maxGreeting)
	if err != nil {
		return err
	}
	nonce := newNonce()
	h := &hello{Name: a.config.Name, Nonce: nonce, Proof: proof(a.config.Token, "agent", first.Nonce, nonce)}
	if err := l.send(message{Hello: h}); err != nil {
		return err
	}
	m, err := l.receive(a.config.Dead, maxGreeting)
	if err != nil {
		return err
	}
	if !proves(m.Welcome, proof(a.config.Token, "coordinator", nonce, first.Nonce)) {
		return errors.New("it does not know the token")
	}
	return nil
}

// await answers what is asked until the run begins. Others may take long to join, so
// only the connection's end ends it.
func (a *Agent) await(ctx context.Context, l *line, in *inbox) (j *job, begin time.Time, err error) {
	for {
		var m message
		var ok bool
		select {
		case m, ok = <-in.messages:
		case <-ctx.Done():
			return nil, begin, ctx.Err()
		}
		switch {
		case !ok:
			return nil, begin, in.err
		case m.Ask:
			err = l.send(message{Clock: a.config.Clock().UnixNano()})
		case m.Job != nil:
			j = m.Job
			err = a.accept(l, j)
		case m.Try > 0 && j != nil:
			err = a.try(ctx, l, in, j, m.Try)
		case m.Begin != 0 && j != nil:
			return j, time.Now().Add(time.Duration(m.Begin - a.config.Clock().UnixNano())), nil
		case m.Stop:
			return nil, begin, errors.New("the coordinator has given up")
		}
		if err != nil {
			return nil, begin, err
		}
	}
}

// accept says yes to what this agent's own limits allow.
func (a *Agent) accept(l *line, j *job) error {
	if err := loadtest.Check(j.Spec, a.options(j)); err != nil {
		_ = l.send(message{Refused: err.Error()}) // or it hears it from the connection's end
		return fmt.Errorf("refused: %w", err)
	}
	return l.send(message{Ready: true})
}

func (a *Agent) options(j *job) loadtest.Options {
	l := a.config.Limits
	l.MaxBytes = l.Bytes() * uint64(max(1, j.Share.Of)) // of all: the agent's own cap is that of its share
	if j.MaxBytes > 0 {
		l.MaxBytes = min(l.MaxBytes, j.MaxBytes)
	}
	return loadtest.Options{Name: j.Name, Run: j.Run, Seed: j.Seed, Share: j.Share, Limits: l, Files: a.config.Files}
}

// signs are the options of a share, with a sign of life each second.
func (a *Agent) signs(l *line, j *job) loadtest.Options {
	o := a.options(j)
	o.Progress = func(p attack.Progress) {
		_ = l.send(message{Progress: &p}) // its end shows in the inbox
		if a.config.Progress != nil {
			a.config.Progress(p)
		}
	}
	return o
}

// carryOut sends the share. It stops when the coordinator says so or is gone.
func (a *Agent) carryOut(ctx context.Context, l *line, in *inbox, j *job, begin time.Time) error {
	running, stop := context.WithCancel(ctx)
	defer stop()
	o := a.signs(l, j)
	o.Begin = begin
	var single *os.File
	if j.Results {
		var err error
		if single, err = unnamed(); err != nil {
			return errors.Join(err, l.send(message{Done: &outcome{Error: err.Error()}}))
		}
		defer single.Close()
		o.Results = single
	}
	end := in.obey(stop)
	measured, err := loadtest.Measure(running, j.Spec, o)
	end()
	done := &outcome{}
	if err != nil {
		done.Error = err.Error()
	} else if done.Stats, err = encode(measured); err != nil {
		done.Error = err.Error()
	}
	sent := l.send(message{Done: done})
	if sent == nil && single != nil && done.Error == "" {
		sent = l.sendResults(single)
	}
	if sent != nil {
		return fmt.Errorf("report run %s: %w", j.Run, sent)
	}
	a.log.Info("reported", "run", j.Run, "sent", measured.Sent)
	return err
}

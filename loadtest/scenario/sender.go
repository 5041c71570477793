package scenario

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"

	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/feed"
	"github.com/kongdao/kongdao/loadtest/flow"
)

// Sender is what sends the plan's requests, or one generator's share of them, for one
// run. Services of gRPC are asked for their schema now, where the scenario does not
// have it. What goes over its connections is counted by the meter; nil: by none.
func (p Plan) Sender(ctx context.Context, run string, seed uint64, share attack.Share, m *attack.Meter) (attack.Sender, error) {
	c, err := p.config(run, seed, share, m)
	if err != nil {
		return nil, err
	}
	return p.flow(ctx, c)
}

// config opens the data files.
func (p Plan) config(run string, seed uint64, share attack.Share, m *attack.Meter) (flow.Config, error) {
	c := flow.Config{
		Run: run, Seed: seed, Share: share, Meter: m, Workers: p.Workers, Timeout: p.Timeout, HTTP2: p.spec.HTTP2,
		MaxBody: p.limits.maxBody(), MaxAnswer: p.spec.MaxAnswer, Allow: p.limits.Allows,
	}
	if c.MaxAnswer == 0 {
		c.MaxAnswer = 32 << 20
	}
	var err error
	if c.TLS, err = p.tls(); err != nil {
		return c, err
	}
	c.Feeds, err = p.openFeeds()
	return c, err
}

// flow sends by the plan's streams.
func (p Plan) flow(ctx context.Context, c flow.Config) (attack.Sender, error) {
	var streams [][]flow.Unit
	for _, parts := range p.streams() {
		var units []flow.Unit
		for _, s := range parts {
			u := s.unit
			u.Weight = max(s.Share, 1e-9)
			units = append(units, u)
		}
		streams = append(streams, units)
	}
	return flow.New(ctx, c, streams)
}

// checkFiles reads what the run will read, so that it does not begin in vain.
func (p Plan) checkFiles() error {
	_, err := p.tls()
	feeds, feedErr := p.openFeeds()
	if err = errors.Join(err, feedErr); err != nil {
		return err
	}
	var errs []error
	for i, f := range feeds {
		errs = append(errs, f.Close())
		if n := p.rowsNeeded(i); f.Order == feed.Unique && uint64(f.Rows()) < n {
			errs = append(errs, &FieldError{
				"data." + p.scope.Feeds()[i],
				fmt.Errorf("%s has %d rows and the plan needs %d: want more rows, or order sequential or random", f.Name, f.Rows(), n),
			})
		}
	}
	return errors.Join(errs...)
}

// rowsNeeded is how many rows of a data file the plan takes.
func (p Plan) rowsNeeded(feed int) uint64 {
	n := 0.0
	for _, s := range p.Scenarios {
		switch {
		case !s.unit.Scope.Uses(feed):
		case s.Share > 0:
			n += s.Share * float64(p.Stages.Total())
		default:
			n += float64(s.Stages.Total())
		}
	}
	return uint64(n)
}

// openFeeds opens all data files, in the order of the scope's.
func (p Plan) openFeeds() ([]*feed.Feed, error) {
	var out []*feed.Feed
	var errs []error
	for i, name := range p.scope.Feeds() {
		d := p.spec.Data[name]
		path, err := p.files.path(d.File)
		var f *feed.Feed
		if err == nil {
			f, err = feed.Open(path, feed.Order(d.Order), p.scope.Columns(i))
		}
		if err != nil {
			errs = append(errs, &FieldError{"data." + name, err})
			continue
		}
		out = append(out, f)
	}
	if len(errs) > 0 {
		for _, f := range out {
			errs = append(errs, f.Close())
		}
		return nil, errors.Join(errs...)
	}
	return out, nil
}

// tls is nil for what the system trusts.
func (p Plan) tls() (*tls.Config, error) {
	t := p.spec.TLS
	if t.CA == "" && !t.SkipVerify {
		return nil, nil
	}
	c := &tls.Config{MinVersion: tls.VersionTLS12, InsecureSkipVerify: t.SkipVerify} //nolint:gosec // the scenario says so
	if t.CA == "" {
		return c, nil
	}
	pem, err := p.files.read(t.CA)
	if err != nil {
		return nil, &FieldError{"tls.ca", err}
	}
	c.RootCAs = x509.NewCertPool()
	if !c.RootCAs.AppendCertsFromPEM(pem) {
		return nil, &FieldError{"tls.ca", fmt.Errorf("%s holds no certificate", t.CA)}
	}
	return c, nil
}

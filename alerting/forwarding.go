package alerting

import (
	"context"
	"fmt"
	"io"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"

	"github.com/kongdao/kongdao/alerting/forward"
)

// Forwarding says which other Alertmanagers are told of what rules find, besides the
// one in here.
type Forwarding struct {
	URLs      []string // such as https://alertmanager:9093
	TokenFile string   // of a bearer token for all of them; empty: none
}

func (a *Alerter) openForwarder(prometheus.Registerer) (_ io.Closer, err error) {
	if len(a.cfg.Forward.URLs) == 0 {
		return nil, nil //nolint:nilnil // nobody is told
	}
	a.forward, err = forward.New(forward.Config(a.cfg.Forward), a.log, a.inner)
	if err != nil {
		return nil, fmt.Errorf("alerting: %w", err)
	}
	return nil, nil //nolint:nilnil // it takes nothing before Run
}

// fromRules takes what rules report.
func (a *Alerter) fromRules(ctx context.Context, alerts ...model.Alert) error {
	if a.forward != nil {
		a.forward.Put(alerts...)
	}
	return a.engine.Put(ctx, alerts...)
}

// forwarding runs the forwarder, if there is one.
func (a *Alerter) forwarding(ctx context.Context) error {
	if a.forward == nil {
		<-ctx.Done()
		return nil
	}
	return a.forward.Run(ctx)
}

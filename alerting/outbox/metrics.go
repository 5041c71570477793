package outbox

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of an outbox. Results: ok, transient, throttled, permanent.
type metrics struct {
	messages *prometheus.CounterVec
}

func newMetrics(o *Outbox, reg prometheus.Registerer) (*metrics, error) {
	m := &metrics{messages: prometheus.NewCounterVec(prometheus.CounterOpts{
		Name: "kongdao_alerting_messages_sent_total",
		Help: "Messages sent to a robot, by what came of them.",
	}, []string{"robot", "result"})}
	oldest := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kongdao_alerting_outbox_oldest_seconds",
		Help: "Age of the oldest message that waits to be delivered; 0 when none waits.",
	}, func() float64 {
		_, age := o.Waiting()
		return age.Seconds()
	})
	waiting := prometheus.NewGaugeFunc(prometheus.GaugeOpts{
		Name: "kongdao_alerting_outbox_messages",
		Help: "Messages that wait to be delivered.",
	}, func() float64 {
		n, _ := o.Waiting()
		return float64(n)
	})
	return m, errors.Join(reg.Register(m.messages), reg.Register(oldest), reg.Register(waiting))
}

func (m *metrics) sent(robot, result string) { m.messages.WithLabelValues(robot, result).Inc() }

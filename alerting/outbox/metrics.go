package outbox

import (
	"errors"

	"github.com/prometheus/client_golang/prometheus"
)

// metrics of an outbox. Results: ok, transient, throttled, permanent.
type metrics struct {
	messages, handed, dead *prometheus.CounterVec
}

func newMetrics(o *Outbox, reg prometheus.Registerer) (*metrics, error) {
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		return prometheus.NewCounterVec(prometheus.CounterOpts{Name: name, Help: help}, labels)
	}
	m := &metrics{
		messages: counter("kongdao_alerting_messages_sent_total", "Messages sent to a robot, by what came of them.", "robot", "result"),
		handed:   counter("kongdao_alerting_messages_handed_over_total", "Messages that a channel could not deliver and its fallback was handed.", "channel"),
		dead:     counter("kongdao_alerting_messages_dead_total", "Messages that were given up on.", "channel"),
	}
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
	return m, errors.Join(reg.Register(m.messages), reg.Register(m.handed), reg.Register(m.dead),
		reg.Register(oldest), reg.Register(waiting), reg.Register(&byChannel{o: o}))
}

func (m *metrics) sent(robot, result string) { m.messages.WithLabelValues(robot, result).Inc() }

func (m *metrics) handedOver(channel string) { m.handed.WithLabelValues(channel).Inc() }

func (m *metrics) gaveUp(channel string) { m.dead.WithLabelValues(channel).Inc() }

var (
	channelOldest = prometheus.NewDesc("kongdao_alerting_channel_oldest_seconds",
		"Age of the oldest message that waits in a channel; 0 when none waits.", []string{"channel"}, nil)
	channelMessages = prometheus.NewDesc("kongdao_alerting_channel_messages",
		"Messages that wait in a channel.", []string{"channel"}, nil)
)

// byChannel collects what waits in each channel.
type byChannel struct{ o *Outbox }

func (c *byChannel) Describe(descs chan<- *prometheus.Desc) {
	descs <- channelOldest
	descs <- channelMessages
}

func (c *byChannel) Collect(out chan<- prometheus.Metric) {
	for name, w := range c.o.ByChannel() {
		out <- prometheus.MustNewConstMetric(channelOldest, prometheus.GaugeValue, w.Oldest.Seconds(), name)
		out <- prometheus.MustNewConstMetric(channelMessages, prometheus.GaugeValue, float64(w.Messages), name)
	}
}

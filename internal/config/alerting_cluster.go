package config

import (
	"strings"

	"github.com/kongdao/kongdao/alerting"
)

// AlertingCluster are the other instances that take over alerting when this one is
// gone.
type AlertingCluster struct {
	Listen          string   `yaml:"listen"`          // host:port of gossip, TCP and UDP; empty: there is no other instance
	Advertise       string   `yaml:"advertise"`       // host:port at which the others reach it; empty: listen
	Peers           []string `yaml:"peers"`           // host:port of the others' listen
	ListenOutbox    string   `yaml:"listenOutbox"`    // host:port at which the others mirror what waits to be told; empty: any port of listen's host
	AdvertiseOutbox string   `yaml:"advertiseOutbox"` // host:port at which the others reach that; empty: where it listens
}

// Cluster is c as alerting takes it.
func (c AlertingCluster) Cluster() alerting.Cluster {
	return alerting.Cluster{Listen: c.Listen, Advertise: c.Advertise, Peers: c.Peers, ListenOutbox: c.ListenOutbox, AdvertiseOutbox: c.AdvertiseOutbox}
}

func (k *check) alertingCluster(c AlertingCluster) {
	err := c.Cluster().Validate()
	if err == nil {
		return
	}
	for line := range strings.Lines(err.Error()) {
		field, message, _ := strings.Cut(strings.TrimSpace(line), ": ")
		k.add("alerting."+field, "%s", message)
	}
}

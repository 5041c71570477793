package serve

import (
	"time"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// Keys in the metadata of a node under which a gateway says when it was served from
// its own disk last, as RFC 3339.
const (
	DiskSinceKey = "kongdao.disk.since"
	DiskUntilKey = "kongdao.disk.until"
)

// Disk is a time in which a gateway was served from its own disk, because it had
// started while the control plane was away.
type Disk struct {
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

// diskOf is nil for a node that says nothing of it, or nothing that can be read.
func diskOf(n *core.Node) *Disk {
	fields := n.GetMetadata().GetFields()
	since, err := time.Parse(time.RFC3339Nano, fields[DiskSinceKey].GetStringValue())
	if err != nil {
		return nil
	}
	until, err := time.Parse(time.RFC3339Nano, fields[DiskUntilKey].GetStringValue())
	if err != nil {
		return nil
	}
	return &Disk{Since: since, Until: until}
}

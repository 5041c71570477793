package xds

import (
	"github.com/envoyproxy/go-control-plane/pkg/resource/v3"

	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/translate"
)

// RefuseMarked makes all gateways refuse the requests of stress tests, or take them
// again. Neither listeners nor routes change: buckets stay as full as they are.
//
// Gateways that have a configuration get this at once, whatever else is on its way
// to them: a change that waits for new pods to be checked must not keep a test going.
func (s *Server) RefuseMarked(refuse bool) {
	s.change(func(in *model.Input) { in.NoMarked = refuse })
	body, err := translate.MarkedRefusals(refuse)
	if err != nil {
		s.log.Error("refusals of stress tests wait for other changes", "error", err)
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for name, l := range s.lines {
		if l.world != nil {
			s.serve.Group(name).Update(resource.ExtensionConfigType, body, nil)
		}
	}
}

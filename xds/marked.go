package xds

import "github.com/kongdao/kongdao/xds/model"

// RefuseMarked makes all gateways refuse the requests of stress tests, or take them
// again. Neither listeners nor routes change: buckets stay as full as they are.
func (s *Server) RefuseMarked(refuse bool) {
	s.change(func(in *model.Input) { in.NoMarked = refuse })
}

package model

import (
	"cmp"

	"github.com/kongdao/kongdao/api"
)

// Mirror sends copies of a part of the requests to the cluster of a revision,
// maybe of another function. Where there is no such cluster nothing is copied.
type Mirror struct {
	Function string
	Revision string
	Percent  float64 // above 0
}

// Cluster is the name of the cluster that copies go to.
func (m Mirror) Cluster() string {
	return (&Revision{Function: m.Function, Name: m.Revision}).Cluster()
}

func mirrors(f *api.Function) (all []Mirror) {
	for _, m := range f.Spec.Mirror {
		all = append(all, Mirror{cmp.Or(m.Function, f.Name), m.Revision, float64(m.Percent)})
	}
	return all
}

package model

// PodShares is the part of the revision's ordinary requests that each pod gets,
// from 0 to 1, in the order of Pods. Pods that are not ready or not in rotation
// get nothing; without any ready pod all are 0.
//
//	s_i = l_p * w_i / sum(w_j)    over the ready pods j of the pod's priority p
//
// where l_p is the priority's part of the load and w the weight of a pod's zone, times
// what the pod is lifted by.
func (r *Revision) PodShares() []float64 {
	shares := make([]float64, len(r.Pods))
	levels := priorities(r.Pods)
	loads := loadShares(levels)
	ranks := Ranks(r.Pods)
	sums := parts(r.Pods, ranks)
	for i, p := range r.Pods {
		if !p.InRotation() || !p.Ready {
			continue
		}
		rank := ranks[p.Priority]
		shares[i] = loads[rank] * p.part() / sums[rank]
	}
	return shares
}

// PodRate is the rate that one ready pod of the revision is given, requests a
// second; 0: not limited.
func (r *Revision) PodRate() float64 {
	return r.Capacity / revisionCapacity(r.Pods, 1) // a capacity is proportional to the rate of a pod
}

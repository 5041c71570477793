package plan

// fewQPS is the rate of a pod, requests a second, below which its function is
// listed for merging with others: a pod costs the same whatever it does.
const fewQPS = 1

// Merge is a function whose pods have next to nothing to do.
type Merge struct {
	Function string  `json:"function"`
	Pods     int     `json:"pods"`
	PerPod   float64 `json:"qps_per_pod"` // mean rate of late, requests a second
}

func (f Function) merge(p Policy) (Merge, bool) {
	m := Merge{Function: f.Name}
	for _, z := range p.Zones {
		m.Pods += f.HavePerZone[z]
	}
	if !f.MeanKnown || m.Pods == 0 {
		return m, false
	}
	m.PerPod = f.Mean / float64(m.Pods)
	return m, m.PerPod < fewQPS
}

func (r *Row) idle(zone string, pods int) {
	if r.Idle == nil {
		r.Idle = map[string]int{}
	}
	r.Idle[zone] = pods
}

// Cost is what pods cost an hour, in the currency of the price that was given.
type Cost struct {
	Have    float64 `json:"have"`    // all pods that there are
	Planned float64 `json:"planned"` // those that the plan asks for
	Idle    float64 `json:"idle"`    // those beyond it
}

func (p *Plan) price(podHour float64) {
	if podHour == 0 {
		return
	}
	p.Cost = &Cost{}
	for i, r := range p.Functions {
		c := Cost{Have: podHour * float64(sum(r.Have)), Planned: podHour * float64(r.PerZone*len(p.Zones)), Idle: podHour * float64(sum(r.Idle))}
		p.Functions[i].Cost = &c
		p.Cost.Have, p.Cost.Planned, p.Cost.Idle = p.Cost.Have+c.Have, p.Cost.Planned+c.Planned, p.Cost.Idle+c.Idle
	}
}

func sum(pods map[string]int) (n int) {
	for _, k := range pods {
		n += k
	}
	return n
}

package api

// Named is a resource by its name, and where it was written.
type Named struct {
	Name   string `json:"name"`
	Source Source `json:"source"`
}

// Index lists all resources by kind, sorted by name. Kinds without one are not
// there.
func (s Set) Index() map[string][]Named {
	all := map[string][]Named{}
	for _, r := range s.resources() {
		all[r.kind()] = append(all[r.kind()], Named{r.meta().Name, r.meta().Source})
	}
	return all
}

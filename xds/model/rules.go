package model

import "slices"

// Rules are the rules of the function, each once, in the order in which they would
// be tried if no other function had any. A function that was not built has none.
func (f *Function) Rules() []*Rule {
	var all []*Rule
	for _, hr := range f.rules {
		if !slices.Contains(all, hr.rule) {
			all = append(all, hr.rule)
		}
	}
	slices.SortFunc(all, compareRules)
	return all
}

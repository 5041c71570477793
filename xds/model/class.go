package model

import (
	"github.com/kongdao/kongdao/api"
)

// LoadTestHeader marks the requests of a load test with its run.
const LoadTestHeader = "x-kongdao-load-test"

// Class is how important a request is. When a function's capacity is short, the
// higher classes are refused first.
type Class int

// The classes, the most important first.
const (
	High Class = iota
	Normal
	Low
	LoadTest
	classes
)

func (c Class) String() string {
	return [...]string{api.PriorityHigh, api.PriorityNormal, api.PriorityLow, "load-test"}[c]
}

// classOf is the class of a priority as it is written; ok is false for none.
func classOf(priority string) (c Class, ok bool) {
	switch priority {
	case api.PriorityHigh:
		return High, true
	case api.PriorityNormal:
		return Normal, true
	case api.PriorityLow:
		return Low, true
	}
	return Normal, false
}

// Reserve is how many tokens a request of the class must leave in the bucket of a
// function with classes: a bucket that is not full says that capacity is short, and
// what is left of it is for those that are more important. Each class leaves a
// quarter more of what lies beyond one request:
//
//	R = (B - c) * class / 4
//
// where B is the bucket's size and c what the request costs.
func (c Class) Reserve(bucket, cost uint32) uint32 {
	if cost >= bucket {
		return 0
	}
	return uint32(uint64(bucket-cost) * uint64(c) / uint64(classes))
}

// consumerClass is a consumer whose requests have a class of their own.
type consumerClass struct {
	consumer string
	class    Class
}

// consumerClasses are those of the consumers that a function lets in, sorted.
func (b *builder) consumerClasses(spec *api.Function) (all []consumerClass) {
	if spec.Spec.Access == nil || len(b.classes) == 0 {
		return nil
	}
	for _, c := range b.classes {
		for _, name := range spec.Spec.Access.Consumers {
			if name == c.consumer {
				all = append(all, c)
			}
		}
	}
	return all
}

// OwnRoutes are the consumers with a right whose requests differ from those of
// others; none where everybody has the right.
func (f *Function) OwnRoutes(right Right) (names []string) {
	if f.Access.open(right) {
		return nil
	}
	for _, c := range f.consumerClasses {
		if f.Access.Grants(c.consumer, right) {
			names = append(names, c.consumer)
		}
	}
	return names
}

// classesOf lists the consumers with a priority.
func classesOf(set api.Set) (all []consumerClass) {
	for _, c := range set.Consumers {
		if class, ok := classOf(c.Spec.Priority); ok {
			all = append(all, consumerClass{c.Name, class})
		}
	}
	return all
}

// ranks tells whether a function knows classes: where nobody speaks of a priority,
// all requests are equal, those of load tests too.
func ranks(spec *api.Function, consumers []consumerClass) bool {
	if spec.Spec.Priority != "" || len(consumers) > 0 {
		return true
	}
	for _, r := range spec.Spec.Routes {
		if r.Priority != "" {
			return true
		}
	}
	return false
}

// Class is the class of a rule's requests by a consumer, which is empty for
// callers that nobody knows: the consumer's, else the route's, else the
// function's, else normal.
func (r *Rule) Class(consumer string) Class {
	for _, c := range r.Function.consumerClasses {
		if c.consumer == consumer && consumer != "" {
			return c.class
		}
	}
	return r.class
}

// ruleClass is the class of a route's requests.
func ruleClass(route api.Route, spec *api.Function) Class {
	if class, ok := classOf(route.Priority); ok {
		return class
	}
	class, _ := classOf(spec.Spec.Priority)
	return class
}

// ClassOf is the class of a request that the rule took.
func (r *Rule) ClassOf(consumer string, values Values) Class {
	if Marked(values) {
		return LoadTest
	}
	return r.Class(consumer)
}

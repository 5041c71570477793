package model

import (
	"slices"
	"strings"
)

// Substitution makes a path of a path that a Path has matched.
type Substitution struct {
	From Path
	To   string // as in a resource: /v2/{id}, /v2/*
}

// Apply is the new path; path has no query.
func (s Substitution) Apply(path string) string {
	segments := strings.Split(path, "/")
	pattern := strings.Split(s.From.pattern(), "/")
	out := strings.Split(s.To, "/")
	for i, part := range out {
		switch at := slices.Index(pattern, part); {
		case part == "*" && i == len(out)-1 && at >= 0 && at < len(segments):
			out[i] = strings.Join(segments[at:], "/")
		case IsParameter(part) && at >= 0 && at < len(segments):
			out[i] = segments[at]
		}
	}
	return strings.Join(out, "/")
}

// Parts are the path as literal text and, between, the numbers of the pattern's
// captures from 1: len(literals) is len(captures)+1. Captures are the parts that
// stand for something, in the order of the pattern.
func (s Substitution) Parts() (literals []string, captures []int) {
	numbers := s.From.captures()
	literal := ""
	out := strings.Split(s.To, "/")
	for i, part := range out {
		if i > 0 {
			literal += "/"
		}
		if n := numbers[part]; n > 0 && (IsParameter(part) || i == len(out)-1) {
			literals, captures, literal = append(literals, literal), append(captures, n), ""
			continue
		}
		literal += part
	}
	return append(literals, literal), captures
}

// pattern is the path as it is written in a resource.
func (p Path) pattern() string {
	if p.Kind == Prefix {
		return p.Text + "*"
	}
	return p.Text
}

// captures numbers the parts that stand for something from 1.
func (p Path) captures() map[string]int {
	numbers := map[string]int{}
	if p.Kind == Exact {
		return numbers
	}
	segments := strings.Split(p.pattern(), "/")
	for i, s := range segments {
		if IsParameter(s) || s == "*" && i == len(segments)-1 {
			numbers[s] = len(numbers) + 1
		}
	}
	return numbers
}

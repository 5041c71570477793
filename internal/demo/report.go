package demo

import (
	"fmt"
	"time"
)

// Report is what the walk showed.
type Report struct {
	Version string    `json:"version"`
	Started time.Time `json:"started"`
	Seconds float64   `json:"seconds"`
	OK      bool      `json:"ok"`
	Steps   []Step    `json:"steps"`
	Data    string    `json:"data"` // data directory
	HTML    string    `json:"html"` // file of the same report for people
}

// Step is one step of the walk.
type Step struct {
	Name    string   `json:"name"`
	Title   string   `json:"title"`
	Seconds float64  `json:"seconds"`
	OK      bool     `json:"ok"`
	Missed  []string `json:"missed,omitempty"` // what it had to show and did not
	Figures []Figure `json:"figures"`
	Table   *Table   `json:"table,omitempty"`
	Details *Table   `json:"details,omitempty"` // not printed: its lines were, as progress
	Text    string   `json:"text,omitempty"`    // what people read: a message, an explanation
	Charts  []Chart  `json:"-"`
}

// Figure is one measured value.
type Figure struct {
	Name  string  `json:"name"`
	Value float64 `json:"value"`
	Unit  string  `json:"unit,omitempty"`
	Text  string  `json:"text"` // as printed
}

// Table is a small table.
type Table struct {
	Head []string   `json:"head"`
	Rows [][]string `json:"rows"`
}

// Chart is a line chart over time.
type Chart struct {
	Title  string
	YLabel string
	Series []Series
}

// Series is one line of a chart.
type Series struct {
	Name   string
	Points []Point
}

// Point is a value at a time, seconds since the chart's beginning.
type Point struct{ X, Y float64 }

// figure notes a value; text is printed as it is, after the name.
func (s *Step) figure(name string, value float64, unit, format string, args ...any) {
	s.Figures = append(s.Figures, Figure{Name: name, Value: value, Unit: unit, Text: fmt.Sprintf(format, args...)})
}

// must notes what a step had to show and did not.
func (s *Step) must(held bool, format string, args ...any) {
	if !held {
		s.Missed = append(s.Missed, fmt.Sprintf(format, args...))
	}
}

// Missed are the names of the steps that did not show what they must.
func (r Report) Missed() (names []string) {
	for _, s := range r.Steps {
		if !s.OK {
			names = append(names, s.Name)
		}
	}
	return names
}

package report

import (
	"encoding/xml"
	"fmt"
	"io"
	"strings"
	"time"
)

type junitSuites struct {
	XMLName xml.Name   `xml:"testsuites"`
	Suite   junitSuite `xml:"testsuite"`
}

type junitSuite struct {
	Name     string      `xml:"name,attr"`
	Tests    int         `xml:"tests,attr"`
	Failures int         `xml:"failures,attr"`
	Errors   int         `xml:"errors,attr"`
	Time     string      `xml:"time,attr"` // seconds
	Stamp    string      `xml:"timestamp,attr"`
	Cases    []junitCase `xml:"testcase"`
	Out      string      `xml:"system-out"`
}

type junitCase struct {
	Class   string      `xml:"classname,attr"`
	Name    string      `xml:"name,attr"`
	Time    string      `xml:"time,attr"`
	Failure *junitFault `xml:"failure"` // a broken threshold
	Error   *junitFault `xml:"error"`   // the run itself says nothing
}

type junitFault struct {
	Message string `xml:"message,attr"`
	Text    string `xml:",chardata"`
}

// WriteJUnit writes the result as a suite of tests: that the run is valid, and one
// for each threshold. An invalid run is an error, a broken threshold a failure.
func (r Result) WriteJUnit(w io.Writer) error {
	took := fmt.Sprintf("%.3f", r.Seconds)
	s := junitSuite{Name: named(r.Scenario, r.Run), Time: took, Stamp: r.Started.UTC().Format(time.RFC3339)}
	valid := junitCase{Class: s.Name, Name: "the run is valid", Time: took}
	if !r.Valid {
		s.Errors = 1
		valid.Error = &junitFault{Message: "the generator may be what was measured", Text: strings.Join(r.InvalidReasons, "\n")}
	}
	s.Cases = append(s.Cases, valid)
	for _, t := range r.Thresholds {
		c := junitCase{Class: s.Name, Name: t.Expr, Time: "0"}
		if !t.OK {
			s.Failures++
			c.Failure = &junitFault{Message: fmt.Sprintf("%s is broken: measured %.6g", t.Expr, t.Actual)}
		}
		s.Cases = append(s.Cases, c)
	}
	s.Tests = len(s.Cases)
	var text strings.Builder
	if err := r.WriteText(&text); err != nil {
		return err
	}
	s.Out = text.String()
	if _, err := io.WriteString(w, xml.Header); err != nil {
		return err
	}
	e := xml.NewEncoder(w)
	e.Indent("", "  ")
	if err := e.Encode(junitSuites{Suite: s}); err != nil {
		return fmt.Errorf("write junit: %w", err)
	}
	_, err := io.WriteString(w, "\n")
	return err
}

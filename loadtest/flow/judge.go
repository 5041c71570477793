package flow

import (
	"bytes"
	"fmt"
	"regexp"
	"strconv"

	"github.com/tidwall/gjson"

	"github.com/kongdao/kongdao/loadtest/attack"
)

const tooLarge = "the answer is above the cap of maxAnswer"

// Check is what an answer must be: a status, or a text in its body, or a value at a
// path of it.
type Check struct {
	Name     string // in faults
	Status   int
	Contains string
	JSON     string
	Equals   string // empty: the path must be there
}

// Extract takes a value out of an answer.
type Extract struct {
	Name   string // in faults
	Var    int    // in template.Values.Vars
	JSON   string
	Header string
	Regex  *regexp.Regexp
}

// judge checks an answer and takes out of it what later steps use. The first thing
// that is wrong is the request's fault.
func (r *Request) judge(a answer, s *state, reply *attack.Reply) {
	for _, c := range r.Checks {
		if problem := c.problem(a, reply.Status); problem != "" {
			reply.Status, reply.Fault, reply.Text = 0, "check "+c.Name, r.Name+": "+problem
			return
		}
	}
	for _, e := range r.Extracts {
		value, problem := e.value(a)
		if problem != "" {
			reply.Fault, reply.Text = "extract "+e.Name, fmt.Sprintf("%s: %s, status %d", r.Name, problem, reply.Status)
			reply.Status = 0
			return
		}
		s.values.Vars[e.Var] = value
	}
}

func (c Check) problem(a answer, status int) string {
	switch {
	case c.Status != 0:
		if status != c.Status {
			return fmt.Sprintf("status is %d, want %d", status, c.Status)
		}
	case c.Contains != "":
		if !bytes.Contains(a.body, []byte(c.Contains)) {
			return fmt.Sprintf("the body does not contain %s", strconv.Quote(c.Contains))
		}
	default:
		v := gjson.GetBytes(a.body, c.JSON)
		if !v.Exists() {
			return fmt.Sprintf("the body has nothing at %s", c.JSON)
		}
		if c.Equals != "" && v.String() != c.Equals && v.Raw != c.Equals {
			return fmt.Sprintf("%s is %s, want %s", c.JSON, strconv.Quote(cut(v.String())), strconv.Quote(c.Equals))
		}
	}
	return ""
}

func (e Extract) value(a answer) (value, problem string) {
	switch {
	case e.JSON != "":
		v := gjson.GetBytes(a.body, e.JSON)
		if !v.Exists() || v.Type == gjson.Null {
			return "", fmt.Sprintf("the body has nothing at %s", e.JSON)
		}
		if v.Type == gjson.Number {
			return v.Raw, ""
		}
		return v.String(), ""
	case e.Header != "":
		if value = a.header.Get(e.Header); value == "" {
			return "", fmt.Sprintf("there is no header %s", e.Header)
		}
		return value, ""
	}
	m := e.Regex.FindSubmatch(a.body)
	if m == nil {
		return "", fmt.Sprintf("nothing in the body matches %s", e.Regex)
	}
	return string(m[min(1, len(m)-1)]), ""
}

// cut keeps messages short: a body may hold anything.
func cut(text string) string {
	const most = 80
	if len(text) > most {
		return text[:most] + "…"
	}
	return text
}

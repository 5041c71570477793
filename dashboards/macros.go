package dashboards

import (
	"fmt"
	"regexp"
	"strings"
	"time"
)

// Value is what the user has chosen for a variable.
type Value struct {
	All    bool     // everything; Chosen does not count then
	Chosen []string // one, or more where the variable allows it
}

// Setting is what a query is expanded with: in Grafana the time range, the width
// of the panel and the variables of the dashboard.
type Setting struct {
	From, To  time.Time
	Interval  time.Duration // between two points; less than a second counts as one
	Variables map[string]Value
}

// Expand replaces macros and variables in sql as Grafana and the data source
// plugin do. It knows only what the dashboards use, and refuses everything else
// that begins with a dollar sign, so that a misspelt macro is found here:
//
//	$__fromTime, $__toTime             ends of the time range, as DateTime
//	$__interval_s                      seconds between two points
//	$__timeFilter_ms(column)           column is in the time range
//	$__conditionalAll(condition, $v)   condition; 1=1 when v is everything or empty
//	${v}, ${v:sqlstring}               the value of v as it is; quoted, with commas
//
// The plugin splits the arguments of a macro at commas and brackets without
// regard to quotes, and so does Expand.
func Expand(sql string, s Setting) (string, error) {
	sql, err := s.conditions(sql)
	if err != nil {
		return "", err
	}
	sql = token.ReplaceAllStringFunc(sql, func(t string) string {
		if err != nil {
			return t
		}
		var text string
		text, err = s.replace(t)
		return text
	})
	if err != nil {
		return "", err
	}
	return sql, nil
}

// token is a macro without or with one plain argument, a variable in braces, or
// any other dollar sign.
var token = regexp.MustCompile(`\$\{[^}]*\}|\$__timeFilter_ms\(\w+\)|\$\w*`)

func (s Setting) replace(t string) (string, error) {
	switch t {
	case "$__fromTime":
		return fmt.Sprintf("toDateTime(%d)", s.From.Unix()), nil
	case "$__toTime":
		return fmt.Sprintf("toDateTime(%d)", s.To.Unix()), nil
	case "$__interval_s":
		return fmt.Sprint(max(1, int(s.Interval.Seconds()))), nil
	}
	if column, ok := strings.CutPrefix(t, "$__timeFilter_ms("); ok {
		column = strings.TrimSuffix(column, ")")
		return fmt.Sprintf("%[1]s >= fromUnixTimestamp64Milli(%[2]d) AND %[1]s <= fromUnixTimestamp64Milli(%[3]d)",
			column, s.From.UnixMilli(), s.To.UnixMilli()), nil
	}
	if !strings.HasPrefix(t, "${") {
		return "", fmt.Errorf("%s: no such macro, or a variable without braces", t)
	}
	name, format, formatted := strings.Cut(t[2:len(t)-1], ":")
	v, err := s.variable(name)
	switch {
	case err != nil:
		return "", err
	case formatted && format != "sqlstring":
		return "", fmt.Errorf("%s: only the format sqlstring is known", t)
	case v.All:
		return "", fmt.Errorf("%s: is everything; put it into $__conditionalAll", t)
	case formatted:
		return quoted(v.Chosen), nil
	case len(v.Chosen) != 1:
		return "", fmt.Errorf("%s: has %d values; give it a format", t, len(v.Chosen))
	}
	return v.Chosen[0], nil
}

func (s Setting) variable(name string) (Value, error) {
	v, ok := s.Variables[name]
	if !ok {
		return v, fmt.Errorf("${%s}: no such variable", name)
	}
	return v, nil
}

// conditions replaces every $__conditionalAll, the last one first.
func (s Setting) conditions(sql string) (string, error) {
	const macro = "$__conditionalAll"
	for {
		start := strings.LastIndex(sql, macro)
		if start < 0 {
			return sql, nil
		}
		args, length := arguments(sql[start+len(macro):])
		if len(args) != 2 {
			return "", fmt.Errorf("%s: want two arguments, got %d", macro, len(args))
		}
		name, ok := strings.CutPrefix(strings.TrimSpace(args[1]), "$")
		if !ok || strings.HasPrefix(name, "{") {
			return "", fmt.Errorf("%s: the second argument must be $name, not %s", macro, args[1])
		}
		v, err := s.variable(name)
		if err != nil {
			return "", err
		}
		condition := args[0]
		if v.All || strings.Join(v.Chosen, "") == "" {
			condition = "1=1"
		}
		sql = sql[:start] + condition + sql[start+len(macro)+length:]
	}
}

// arguments splits what is in the brackets that text begins with. length is up
// to the closing one. Without brackets there are no arguments.
func arguments(text string) (args []string, length int) {
	depth, from := 0, 1
	for i, c := range text {
		switch {
		case c == '(':
			depth++
		case depth == 0:
			return nil, 0
		case c == ',' && depth == 1:
			args, from = append(args, text[from:i]), i+1
		case c == ')':
			depth--
		}
		if depth == 0 {
			return append(args, text[from:i]), i + 1
		}
	}
	return nil, 0
}

// quoted is Grafana's format sqlstring.
func quoted(values []string) string {
	texts := make([]string, len(values))
	for i, v := range values {
		texts[i] = "'" + strings.ReplaceAll(v, "'", "''") + "'"
	}
	return strings.Join(texts, ",")
}

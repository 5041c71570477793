package dashboards

import (
	"strings"
	"testing"
	"time"
)

func TestExpand(t *testing.T) {
	s := Setting{
		From: time.Unix(1000, 0), To: time.Unix(2000, 0), Interval: 15 * time.Second,
		Variables: map[string]Value{
			"all": {All: true}, "one": {Chosen: []string{"feed"}}, "two": {Chosen: []string{"a", "o'b"}}, "empty": {Chosen: []string{""}},
		},
	}
	for in, want := range map[string]string{
		"SELECT 1":                         "SELECT 1",
		"t >= $__fromTime AND t<$__toTime": "t >= toDateTime(1000) AND t<toDateTime(2000)",
		"$__interval_s second":             "15 second",
		"$__timeFilter_ms(ts)":             "ts >= fromUnixTimestamp64Milli(1000000) AND ts <= fromUnixTimestamp64Milli(2000000)",
		"FROM ${one}":                      "FROM feed",
		"IN (${two:sqlstring})":            "IN ('a','o''b')",
		"= ${one:sqlstring}":               "= 'feed'",
		"x AND $__conditionalAll(f IN (${one:sqlstring}), $one)":                                           "x AND f IN ('feed')",
		"$__conditionalAll(f IN (${all:sqlstring}), $all) OR y":                                            "1=1 OR y",
		"$__conditionalAll(f IN (1, 2), $empty)":                                                           "1=1",
		"$__conditionalAll(f(a, b) = 1, $two) AND $__conditionalAll(g, $all)":                              "f(a, b) = 1 AND 1=1",
		"$__conditionalAll(a IN (SELECT x WHERE $__conditionalAll(z = ${one:sqlstring}, $all)), $one) AND": "a IN (SELECT x WHERE 1=1) AND",
	} {
		if got, err := Expand(in, s); err != nil || got != want {
			t.Errorf("%s:\n got %s, %v\nwant %s", in, got, err, want)
		}
	}
	for in, want := range map[string]string{
		"$__timeFilter(ts)":                 "no such macro",
		"$__timeFilter_ms(r.ts)":            "no such macro",
		"$__from":                           "no such macro",
		"IN ($two)":                         "without braces",
		"${nobody}":                         "no such variable",
		"${two}":                            "has 2 values",
		"${all:sqlstring}":                  "is everything",
		"${one:regex}":                      "only the format sqlstring",
		"$__conditionalAll(f = 1, $nobody)": "no such variable",
		"$__conditionalAll(f = 1)":          "want two arguments",
		"$__conditionalAll(f = 1, $one":     "want two arguments",
		"$__conditionalAll":                 "want two arguments",
		"$__conditionalAll(f = 1, ${one})":  "must be $name",
		"costs 5$":                          "no such macro",
	} {
		if got, err := Expand(in, s); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: got %q, error %v, want one with %q", in, got, err, want)
		}
	}
}

// FuzzExpand: no input makes it panic or loop, and nothing with a dollar sign of
// the query's own is left over.
func FuzzExpand(f *testing.F) {
	f.Add("$__conditionalAll(f IN (${a:sqlstring}), $a) AND ${a} $__interval_s")
	f.Add("$__conditionalAll(")
	f.Add("${")
	s := Setting{Variables: map[string]Value{"a": {Chosen: []string{"x"}}}}
	f.Fuzz(func(t *testing.T, sql string) {
		got, err := Expand(sql, s)
		if err == nil && strings.Contains(got, "$") {
			t.Errorf("%q gives %q", sql, got)
		}
	})
}

package rule

import (
	"bytes"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/labels"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
	"go.yaml.in/yaml/v3"
)

// Bounds of log rules, each of which is a question to ClickHouse.
const (
	leastLogInterval   = 10 * time.Second
	defaultLogInterval = 30 * time.Second
	defaultLogWindow   = 5 * time.Minute
	mostLogWindow      = 24 * time.Hour
)

// logText is a text of log rules: groups as Prometheus has them, whose expr is SQL,
// and which may say how far back each looks.
type logText struct {
	Groups []struct {
		Name     string            `yaml:"name"`
		Interval model.Duration    `yaml:"interval"`
		Limit    int               `yaml:"limit"`
		Labels   map[string]string `yaml:"labels"`
		Rules    []struct {
			Record        string            `yaml:"record"`
			Alert         string            `yaml:"alert"`
			Expr          string            `yaml:"expr"`
			Window        model.Duration    `yaml:"window"`
			For           model.Duration    `yaml:"for"`
			KeepFiringFor model.Duration    `yaml:"keep_firing_for"`
			Labels        map[string]string `yaml:"labels"`
			Annotations   map[string]string `yaml:"annotations"`
		} `yaml:"rules"`
	} `yaml:"logGroups"`
}

// hasLogKey tells a text of log rules.
var hasLogKey = regexp.MustCompile(`(?m)^logGroups[ \t]*:`)

// readLogs reads a text of log rules. Each SQL becomes the metric [logMetric], with
// the SQL as a label, which is answered by ClickHouse and not by the database.
func (t *texts) readLogs(text string) (*rulefmt.RuleGroups, error) {
	var in logText
	d := yaml.NewDecoder(strings.NewReader(text))
	d.KnownFields(true)
	if err := d.Decode(&in); err != nil {
		return nil, err
	}
	var out rulefmt.RuleGroups
	var errs []error
	for _, g := range in.Groups {
		group := rulefmt.RuleGroup{Name: g.Name, Interval: g.Interval, Limit: g.Limit, Labels: g.Labels}
		if group.Interval == 0 {
			group.Interval = model.Duration(defaultLogInterval)
		}
		if time.Duration(group.Interval) < t.leastLogInterval {
			errs = append(errs, fmt.Errorf("group %q: interval: is %s, want at least %s", g.Name, group.Interval, t.leastLogInterval))
		}
		for i, r := range g.Rules {
			expr, err := logExpr(r.Expr, time.Duration(r.Window))
			if err != nil {
				errs = append(errs, fmt.Errorf("group %q, rule %d, %q: %w", g.Name, i+1, r.Alert+r.Record, err))
			}
			group.Rules = append(group.Rules, rulefmt.Rule{
				Record: r.Record, Alert: r.Alert, Expr: expr, For: r.For, KeepFiringFor: r.KeepFiringFor, Labels: r.Labels, Annotations: r.Annotations,
			})
		}
		out.Groups = append(out.Groups, group)
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return t.validated(out)
}

// place is where in a text an error is; that of a text made here helps nobody.
var place = regexp.MustCompile(`(?m)^\d+:\d+: `)

// validated has Prometheus' own checks look at groups that were made.
func (t *texts) validated(groups rulefmt.RuleGroups) (*rulefmt.RuleGroups, error) {
	var b bytes.Buffer
	if err := yaml.NewEncoder(&b).Encode(groups); err != nil {
		return nil, err
	}
	parsed, err := t.readMetrics(b.String())
	if err != nil {
		return nil, errors.New(place.ReplaceAllString(err.Error(), ""))
	}
	return parsed, nil
}

// logMetric is the name that stands for an answer of ClickHouse.
const logMetric = "kongdao_log_query"

// notCode are strings, quoted names and comments in SQL.
var notCode = regexp.MustCompile("(?s)'(?:[^'\\\\]|\\\\.)*'|`(?:[^`\\\\]|\\\\.)*`|\"(?:[^\"\\\\]|\\\\.)*\"|--[^\n]*|/\\*.*?\\*/")

var (
	sqlSelect   = regexp.MustCompile(`(?is)^\s*(SELECT|WITH)\b`)
	sqlSettings = regexp.MustCompile(`(?i)\b(SETTINGS|FORMAT|INTO\s+OUTFILE)\b|;\s*\S`)
)

// logExpr is the expression that stands for SQL.
func logExpr(sql string, window time.Duration) (string, error) {
	if window == 0 {
		window = defaultLogWindow
	}
	code := notCode.ReplaceAllString(sql, "''")
	switch {
	case strings.TrimSpace(sql) == "":
		return "", errors.New("expr: is missing, want SQL over calls")
	case !sqlSelect.MatchString(code):
		return "", errors.New("expr: want one SELECT")
	case !strings.Contains(code, "{from}") || !strings.Contains(code, "{to}"):
		return "", errors.New("expr: is without bounds in time, want … WHERE ts >= {from} AND ts < {to} …")
	case sqlSettings.MatchString(code):
		return "", fmt.Errorf("expr: holds %q, want one SELECT without FORMAT and SETTINGS: what a query may cost is set", strings.TrimSpace(sqlSettings.FindString(code)))
	case window < time.Second || window > mostLogWindow:
		return "", fmt.Errorf("window: is %s, want 1s to %s", model.Duration(window), model.Duration(mostLogWindow))
	}
	sql = strings.TrimRight(strings.TrimSpace(sql), "; \n\t")
	return fmt.Sprintf("%s{sql=%s,window=%q}", logMetric, strconv.Quote(sql), model.Duration(window)), nil
}

// logQueryOf is the SQL and the window that an expression stands for; ok is false
// for any other.
func (t *texts) logQueryOf(expr string) (sql string, window time.Duration, ok bool) {
	if !strings.HasPrefix(expr, logMetric+"{") {
		return "", 0, false
	}
	parsed, err := t.parser.ParseExpr(expr)
	v, is := parsed.(*parser.VectorSelector)
	if err != nil || !is {
		return "", 0, false
	}
	for _, m := range v.LabelMatchers {
		if m.Type != labels.MatchEqual {
			return "", 0, false
		}
		switch m.Name {
		case "sql":
			sql = m.Value
		case "window":
			d, err := model.ParseDuration(m.Value)
			if err != nil {
				return "", 0, false
			}
			window = time.Duration(d)
		}
	}
	return sql, window, sql != "" && window > 0
}

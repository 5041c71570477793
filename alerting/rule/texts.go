package rule

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

// texts are rule texts that are known to be right, by name. It is what the rule
// manager loads groups from in place of files.
type texts struct {
	parser           parser.Parser
	leastLogInterval time.Duration

	mu     sync.Mutex
	parsed map[string]*rulefmt.RuleGroups
}

func newTexts() *texts {
	return &texts{parser: parser.NewParser(parser.Options{}), leastLogInterval: leastLogInterval}
}

// with is a new set of exactly those names. Where a text is wrong, the one that t
// has under that name stays, and the error says what is wrong with it.
func (t *texts) with(in map[string]string) (map[string]*rulefmt.RuleGroups, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	next := make(map[string]*rulefmt.RuleGroups, len(in))
	var errs []error
	for _, name := range slices.Sorted(maps.Keys(in)) {
		groups, err := t.read(in[name])
		if err == nil {
			next[name] = groups
			continue
		}
		errs = append(errs, fmt.Errorf("rules %s: %w", name, err))
		if old := t.parsed[name]; old != nil {
			next[name] = old
		}
	}
	return next, errors.Join(errs...)
}

// hasKey tells a rule file from a bare list of groups.
var hasKey = regexp.MustCompile(`(?m)^groups[ \t]*:`)

// read reads rules of either kind.
func (t *texts) read(text string) (*rulefmt.RuleGroups, error) {
	if hasLogKey.MatchString(text) {
		return t.readLogs(text)
	}
	return t.readMetrics(text)
}

func (t *texts) readMetrics(text string) (*rulefmt.RuleGroups, error) {
	if !hasKey.MatchString(text) {
		text = "groups:\n" + text
	}
	groups, errs := rulefmt.Parse([]byte(text), false, model.UTF8Validation, t.parser, slog.New(slog.DiscardHandler))
	return groups, errors.Join(errs...)
}

func (t *texts) set(parsed map[string]*rulefmt.RuleGroups) (names []string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.parsed = parsed
	return slices.Sorted(maps.Keys(parsed))
}

// Load is the rule manager's way to get the groups of one name.
func (t *texts) Load(name string, _ bool, _ model.ValidationScheme) (*rulefmt.RuleGroups, []error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if g := t.parsed[name]; g != nil {
		return g, nil
	}
	return nil, []error{fmt.Errorf("rules %s: unknown", name)}
}

// Parse reads an expression.
func (t *texts) Parse(expr string) (parser.Expr, error) { return t.parser.ParseExpr(expr) }

// Check says what is wrong with a text of rules of either kind, each problem on a
// line. Templates are parsed, expressions too; SQL is not asked.
func Check(text string) error {
	_, err := newTexts().read(text)
	return err
}

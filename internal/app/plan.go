package app

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/calllog"
	"github.com/kongdao/kongdao/registry"
	"github.com/kongdao/kongdao/xds"
	"github.com/kongdao/kongdao/xds/explain"
	"github.com/kongdao/kongdao/xds/model"
	"github.com/kongdao/kongdao/xds/plan"
)

// Planned is what a change of the resources does.
type Planned struct {
	Resources []plan.Resource `json:"resources"`
	Calls     plan.Report     `json:"calls"`
	Doubts    []string        `json:"doubts,omitempty"`   // what could not be read or known of either configuration
	Problems  api.Problems    `json:"problems,omitempty"` // of the folder; then there is nothing else
}

// ExplainOffline says what a gateway would do that has nothing but these resources:
// every pod is ready, and one gateway takes calls. Doubts names consumers whose keys
// cannot be resolved here.
func ExplainOffline(set api.Set, r explain.Request) (a explain.Answer, doubts string, err error) {
	w, doubts, err := xds.Offline(set, r.From.Group, registry.Resolve)
	if err != nil {
		return a, "", err
	}
	return explain.Describe(w, r, xds.DefaultConfig().Layout()), doubts, nil
}

// PlanOffline replays calls through two sets of resources, neither of which has to
// run anywhere. Keys of consumers are compared by where they come from, not by what
// they are.
func PlanOffline(old, now api.Set, calls []Call, o plan.Options) (Planned, error) {
	before, missing, err := offlineWorld(old, o.From.Group)
	if err != nil {
		return Planned{}, fmt.Errorf("the old resources: %w", err)
	}
	after, lacking, err := offlineWorld(now, o.From.Group)
	if err != nil {
		return Planned{}, fmt.Errorf("the new resources: %w", err)
	}
	p := Planned{Resources: plan.Resources(old, now), Calls: plan.New(before, after, o).Run(calls)}
	p.doubt(missing)
	p.doubt(lacking)
	return p, nil
}

// doubt adds what is said in lines.
func (p *Planned) doubt(text string) {
	for _, line := range linesOf(text) {
		if !slices.Contains(p.Doubts, line) {
			p.Doubts = append(p.Doubts, line)
		}
	}
}

func linesOf(text string) []string {
	return strings.FieldsFunc(text, func(r rune) bool { return r == '\n' })
}

func offlineWorld(set api.Set, group string) (w *model.World, doubts string, err error) {
	return xds.Offline(set, group, func(s api.Secret) (string, error) { return "reference " + s.Reveal(), nil })
}

// maxCallLine bounds a line of a file of calls, in bytes.
const maxCallLine = 1 << 20

// ReadCalls reads calls, one JSON document a line as kongdao logs -o json prints
// them. Lines with what functions logged themselves, and empty ones, are left out. An
// error names the line.
func ReadCalls(r io.Reader) ([]Call, error) {
	var all []Call
	err := EachCall(r, func(c Call) bool {
		all = append(all, c)
		return true
	})
	if err != nil {
		return nil, err
	}
	return all, nil
}

// EachCall is ReadCalls for files that are larger than memory. It ends when give
// answers false.
func EachCall(r io.Reader, give func(Call) bool) error {
	lines := bufio.NewScanner(r)
	lines.Buffer(make([]byte, 0, 64<<10), maxCallLine)
	n := 1
	for ; lines.Scan(); n++ {
		text := bytes.TrimSpace(lines.Bytes())
		if len(text) == 0 || bytes.HasPrefix(text, []byte(`{"function_log"`)) {
			continue
		}
		c, err := readCall(text)
		if err != nil {
			return fmt.Errorf("%d: %w", n, err)
		}
		if !give(c) {
			return nil
		}
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("%d: %w", n, err)
	}
	return nil
}

func readCall(text []byte) (c Call, err error) {
	if err := json.Unmarshal(text, &c); err != nil {
		return c, fmt.Errorf("is no call: %w", err)
	}
	if c.Method == "" && c.Attrs[calllog.AttrMalformed] == "" && c.Attrs[calllog.AttrProtocol] == "" {
		return c, errors.New("is no call: it has no method; want a line of kongdao logs -o json")
	}
	c.Tidy()
	return c, nil
}

package cli

import (
	"strings"
	"testing"

	"github.com/kongdao/kongdao/internal/app"
)

func TestRulesAreReadable(t *testing.T) {
	var b strings.Builder
	writeRules(&b, []ruleState{
		{Group: "g", Name: "A", State: "firing", Health: "ok", Labels: map[string]string{"severity": "page"}},
		{Group: "g", Name: "b:c", Type: "recording", Health: "err", LastError: "away"},
	})
	writeRuleTexts(&b, []app.RuleText{{Name: "kongdao", Origin: app.RulesShipped}, {Name: "/r.yaml", Origin: app.RulesFile, Error: "3:1: bad\nmore"}})
	for _, want := range []string{"page      firing   ok", "records  err     away", "kongdao  shipped  -", "/r.yaml  file     3:1: bad\n"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, b.String())
		}
	}
}

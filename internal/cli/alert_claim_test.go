package cli

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestClaimsAreReadable(t *testing.T) {
	var list claimMatters
	const answer = `{"claims":[
		{"id":"#A3F2","alert":"Broken","severity":"page","channel":"oncall","since":"2026-11-02T10:00:00Z","next":"2026-11-02T10:10:00Z","steps":1},
		{"id":"#B001","alert":"Slow","channel":"oncall","since":"2026-11-02T10:00:00Z",
		 "claimed":{"by":{"name":"Ann"},"at":"2026-11-02T10:01:00Z","until":"2026-11-02T14:01:00Z"},
		 "silenced":{"by":{"name":"Ben"},"at":"2026-11-02T10:01:00Z","until":"2026-11-02T10:31:00Z"}},
		{"id":"#C002","alert":"Gone","channel":"oncall","since":"2026-11-02T10:00:00Z","ended":"2026-11-02T11:00:00Z"}]}`
	if err := json.Unmarshal([]byte(answer), &list); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	list.text(&b)
	for _, want := range []string{"#A3F2", "unclaimed, 1 step up", "in 0s", "claimed by Ann until", "silenced by Ben until", "ended "} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, b.String())
		}
	}
	b.Reset()
	claimMatters{}.text(&b)
	if !strings.Contains(b.String(), "nobody was told") {
		t.Error(b.String())
	}
}

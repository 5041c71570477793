package dashboards

import (
	"testing"
	"time"
)

func TestLink(t *testing.T) {
	from := time.UnixMilli(1_700_000_000_000)
	for _, c := range []struct{ function, zone, want string }{
		{"", "", "https://g.example.com/x/d/kongdao-gateway-overview?from=1700000000000&to=1700000060000"},
		{"feed & co", "zb-a", "https://g.example.com/x/d/kongdao-function-detail?from=1700000000000&to=1700000060000&var-function=feed+%26+co&var-zone=zb-a"},
	} {
		if got := Link("https://g.example.com/x/", c.function, c.zone, from, from.Add(time.Minute)); got != c.want {
			t.Errorf("%s, want %s", got, c.want)
		}
	}
	all, err := All()
	if err != nil || len(all) != 2 || all[0].UID != overviewUID || all[1].UID != functionUID {
		t.Errorf("dashboards are not those that links lead to: %v", err)
	}
}

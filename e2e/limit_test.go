package e2e

import (
	"fmt"
	"math"
	"net/http"
	"path/filepath"
	"testing"
	"time"

	"github.com/kongdao/kongdao/internal/demo/fleet"
)

// TestLimitPerPodHolds offers two and a half times what six pods may take while
// routes, and nothing else, change five times a second. By the call log no pod is
// given more than 1.05 times its limit in any second.
//
// A pod's share of an admitted stream is a whole number of calls: with round robin
// over six pods, second by second, one of them may get one call more than the
// sixth part. Hence the limit is compared after rounding up to a whole call.
func TestLimitPerPodHolds(t *testing.T) {
	const (
		perPod  = 100
		pods    = 6
		seconds = 8
	)
	platform := newPlatform(t, measured(perPod), functions(fleet.Feed, "rank")...)
	file := filepath.Join(platform.dir, "gray.yaml")
	addresses := platform.pods(fleet.Feed)
	write(t, file, gray(addresses, 0))
	data := t.TempDir()
	p := up(t, data, platform.dir)
	p.podsReady(len(platform.catalog) + 2)
	p.limit(fleet.Feed, pods*perPod)
	feed := map[string]string{fleet.Feed: platform.paths()[fleet.Feed]}
	l := call(t, p.addr.Gateway, feed, 2.5*pods*perPod)
	during(t, seconds*time.Second, 200*time.Millisecond, func(i int) { write(t, file, gray(addresses, i+1)) })
	c := l.stop()
	noFailure(t, c)
	p.noNACK()
	p.stop()

	s := openStore(t, data)
	s.equals(c.sent)
	const admitted = " FROM calls WHERE function = ? AND limited_by = ''"
	most := s.number("SELECT max(n) FROM (SELECT count() AS n"+admitted+" GROUP BY pod, toStartOfSecond(ts))", fleet.Feed)
	total := s.number("SELECT count()"+admitted, fleet.Feed)
	refused := s.number("SELECT count() FROM calls WHERE limited_by = 'capacity' AND status = 429")
	t.Logf("sent %d, admitted %d, refused %d; most calls of a pod in a second: %d", c.total(), total, refused, most)
	if allowed := uint64(math.Ceil(1.05 * perPod)); most > allowed {
		t.Errorf("a pod got %d calls in a second, want at most %d", most, allowed)
		t.Log(s.byFunction(fmt.Sprintf("SELECT concat(pod, ' ', toString(toStartOfSecond(ts))), count() FROM calls WHERE function = '%s' AND limited_by = '' GROUP BY 1 HAVING count() > %d", fleet.Feed, perPod)))
	}
	if total < pods*perPod*seconds*3/4 {
		t.Errorf("%d calls were admitted in %d s, less than three quarters of the limit", total, seconds)
	}
	if got := s.number("SELECT uniqExact(pod)"+admitted, fleet.Feed); got != pods {
		t.Errorf("%d pods were called, want %d", got, pods)
	}
	if int(refused) != c.status[http.StatusTooManyRequests] || refused == 0 {
		t.Errorf("%d refusals are stored, callers saw %d", refused, c.status[http.StatusTooManyRequests])
	}
}

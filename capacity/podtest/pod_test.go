package podtest

import (
	"fmt"
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"
)

// TestPausesStopAllWorkers holds the simulation, in which working time stands still,
// against every pause that it drew: what is in work when one begins ends later by it.
func TestPausesStopAllWorkers(t *testing.T) {
	law := Law{Workers: 1, Service: Fixed(0.004), PauseEvery: 300 * time.Millisecond, Pause: 200 * time.Millisecond}
	s := stops{r: rand.New(rand.NewPCG(1, 1)), every: law.PauseEvery.Seconds(), length: law.Pause.Seconds()}
	r := rand.New(rand.NewPCG(2, 2))
	var pauses []float64 // by the clock
	for n, now, last := 0, 0.0, 0.0; n < 20_000; n++ {
		now += 0.02 * r.ExpFloat64()
		worked := s.worked(now)
		if worked < last {
			t.Fatalf("workers had worked for %v, and then for %v", last, worked)
		}
		last = worked
		want := now // by the clock, when 0.05 s more are worked, pauses one by one
		left := 0.05
		end := s.clock(worked + left)
		pauses = pauses[:0]
		for i, at := range s.later {
			pauses = append(pauses, at+s.past+float64(i)*s.length)
		}
		for _, p := range pauses {
			if p >= want+left {
				break
			}
			left -= max(0, p-want)
			want = max(want, p+s.length)
		}
		if want += left; math.Abs(want-end) > 1e-9 {
			t.Fatalf("at %v: ends at %v, want %v, pauses %v", now, end, want, pauses)
		}
	}
	if got := s.past / s.last; got < 0.6 || got > 0.74 { // 0.2 s each 0.3 s
		t.Errorf("pauses are %.2f of the time", got)
	}
}

// TestServerKeepsItsLaw: requests that all come at once leave a server of fixed service
// times at the times that the law says.
func TestServerKeepsItsLaw(t *testing.T) {
	law := Law{Workers: 2, Service: Fixed(0.01)}
	s := NewServer(law, 1)
	begin := time.Now()
	const n = 20
	var ends []chan struct{}
	for range n {
		x := &request{begin, make(chan struct{})}
		s.line <- x
		ends = append(ends, x.end)
	}
	for _, e := range ends {
		<-e
	}
	s.Close()
	slices.Sort(s.figures.Law)
	for i, took := range s.figures.Law {
		// A worker that wakes late leaves requests to the other one, at worst all.
		least, most := time.Duration(1+i/law.Workers)*10*time.Millisecond, time.Duration(1+i)*10*time.Millisecond
		if took < least || took > most || took%(10*time.Millisecond) != 0 {
			t.Errorf("request %d of %d took %v by the law, want %v to %v", i, n, took, least, most)
		}
	}
	if late := slices.Min(s.figures.Late); late < 0 {
		t.Errorf("a worker ended %v too early", -late)
	}
}

// TestTruthIsKnown: the rates that searches are judged by.
func TestTruthIsKnown(t *testing.T) {
	for _, l := range Laws() {
		rate := Known(l)
		for part, above := range map[float64]bool{0.97: false, 1.03: true} {
			if late := Late(l, part*rate, 400_000, 5); late > 0.01 != above {
				t.Errorf("%s: %s of %.1f/s are late at %.2f of it", l.Name, fmt.Sprintf("%.2f %%", 100*late), rate, part)
			}
		}
	}
}

package attack_test

import (
	"math"
	"math/rand/v2"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"

	"github.com/kongdao/kongdao/loadtest/attack"
)

// planned is every planned time of a pacer.
func planned(p vegeta.Pacer) []time.Duration {
	var out []time.Duration
	var at time.Duration
	for {
		wait, stop := p.Pace(at, uint64(len(out)))
		if stop {
			return out
		}
		at += wait
		out = append(out, at)
	}
}

func TestStagesPlanExactly(t *testing.T) {
	for name, c := range map[string]struct {
		stages attack.Stages
		want   int
	}{
		"a constant rate is rate times duration":       {attack.Constant(300, 30*time.Second), 9000},
		"a part of a request is a request":             {attack.Constant(0.25, 10*time.Second), 3},
		"a ramp has the mean of its ends":              {attack.Stages{{From: 10, To: 500, Duration: time.Minute}}, 15300},
		"down to nothing":                              {attack.Stages{{From: 100, To: 0, Duration: 10 * time.Second}}, 500},
		"up from nothing":                              {attack.Stages{{From: 0, To: 100, Duration: 10 * time.Second}}, 500},
		"stages add up":                                {attack.Stages{{From: 10, To: 10, Duration: time.Second}, {From: 10, To: 30, Duration: time.Second}, {From: 30, To: 30, Duration: time.Second}}, 60},
		"a silent stage in between":                    {attack.Stages{{From: 10, To: 10, Duration: time.Second}, {From: 0, To: 0, Duration: time.Second}, {From: 10, To: 10, Duration: time.Second}}, 20},
		"a silent stage at the end":                    {attack.Stages{{From: 10, To: 10, Duration: time.Second}, {From: 0, To: 0, Duration: time.Second}}, 10},
		"whole swings add nothing":                     {attack.Stages{{From: 10, To: 10, Duration: 4 * time.Second, Swing: attack.Swing{Amplitude: 10, Period: 2 * time.Second, Phase: 1}}}, 40},
		"half a swing adds amplitude times period / π": {attack.Stages{{From: 10, To: 10, Duration: time.Second, Swing: attack.Swing{Amplitude: 10, Period: 2 * time.Second}}}, 17},
		"a rate that floating point cannot represent":  {attack.Constant(0.1, 100*time.Second), 10},
	} {
		t.Run(name, func(t *testing.T) {
			times := planned(c.stages)
			if len(times) != c.want {
				t.Errorf("%d requests, want %d", len(times), c.want)
			}
			for i, at := range times {
				if at < 0 || at > c.stages.Duration() || (i > 0 && at < times[i-1]) {
					t.Fatalf("request %d planned for %v", i, at)
				}
			}
		})
	}
}

// However the stages look, n requests are planned by the time the integral of the
// rate reaches n.
func TestStagesFollowTheirRate(t *testing.T) {
	r := rand.New(rand.NewPCG(3, 4))
	for range 200 {
		var ss attack.Stages
		for range 1 + r.IntN(4) {
			ss = append(ss, attack.Stage{
				From: math.Round(r.Float64() * 100), To: math.Round(r.Float64() * 100),
				Duration: time.Duration(1+r.IntN(5000)) * time.Millisecond,
			})
			if last := &ss[len(ss)-1]; r.IntN(2) == 0 {
				last.Swing = attack.Swing{
					Amplitude: r.Float64() * min(last.From, last.To), Phase: 7 * r.Float64(),
					Period: time.Duration(1+r.IntN(3000)) * time.Millisecond,
				}
			}
		}
		if ss.Validate() != nil {
			continue
		}
		times := planned(ss)
		const dt = time.Millisecond
		hits, due := 0, 0.0
		for now := time.Duration(0); now < ss.Duration(); now += dt {
			for hits < len(times) && times[hits] <= now {
				hits++
			}
			if d := float64(hits) - due; d < -0.2 || d > 1.2 {
				t.Fatalf("%+v: after %v %d requests are planned, the rate asks for %.2f", ss, now, hits, due)
			}
			due += ss.Rate(now+dt/2) * dt.Seconds()
		}
	}
}

func TestStagesValidate(t *testing.T) {
	for name, ss := range map[string]attack.Stages{
		"none":           {},
		"no duration":    {{From: 1, To: 1, Duration: 0}},
		"negative":       {{From: -1, To: 1, Duration: time.Second}},
		"not finite":     {{From: 1, To: math.Inf(1), Duration: time.Second}},
		"no number":      {{From: math.NaN(), To: 1, Duration: time.Second}},
		"swings below":   {{From: 1, To: 5, Duration: time.Second, Swing: attack.Swing{Amplitude: 2, Period: time.Second}}},
		"no period":      {{From: 5, To: 5, Duration: time.Second, Swing: attack.Swing{Amplitude: 2}}},
		"negative swing": {{From: 5, To: 5, Duration: time.Second, Swing: attack.Swing{Amplitude: -2, Period: time.Second}}},
		"odd phase":      {{From: 5, To: 5, Duration: time.Second, Swing: attack.Swing{Amplitude: 2, Period: time.Second, Phase: math.Inf(1)}}},
		"silent":         {{From: 0, To: 0, Duration: time.Second}},
	} {
		if ss.Validate() == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestPoissonIsRandomButRepeatable(t *testing.T) {
	stages := attack.Stages{{From: 100, To: 100, Duration: 50 * time.Second}, {From: 100, To: 300, Duration: 50 * time.Second}}
	times := planned(attack.NewPoisson(stages, 7))
	again := planned(attack.NewPoisson(stages, 7))
	if len(times) != len(again) || times[100] != again[100] {
		t.Error("the same seed gave another plan")
	}
	const mean = 15_000.0
	if d := math.Abs(float64(len(times)) - mean); d > 5*math.Sqrt(mean) {
		t.Errorf("%d requests, want about %.0f", len(times), mean)
	}
	// Gaps of a Poisson process deviate by as much as their mean.
	var sum, squares float64
	n := 0
	for i := 1; times[i] < 50*time.Second; i++ {
		gap := (times[i] - times[i-1]).Seconds()
		sum += gap
		squares += gap * gap
		n++
	}
	m := sum / float64(n)
	if cv := math.Sqrt(squares/float64(n)-m*m) / m; cv < 0.9 || cv > 1.1 {
		t.Errorf("coefficient of variation of the gaps is %.2f, want 1", cv)
	}
}

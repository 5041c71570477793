package usl

import (
	"errors"
	"math"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
)

// TestPublishedFits: the same numbers as others who have fitted the same data.
func TestPublishedFits(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name                 string
		points               []Point
		lambda, sigma, kappa float64
		peak, ceiling        float64
	}{
		// Gunther, Guerrilla Capacity Planning; coefficients of R's package usl 3.0.
		{
			"SPARCcenter 2000, SPEC SDM91", pairs(1, 64.9, 18, 995.9, 36, 1652.4, 72, 1853.2, 108, 1828.9, 144, 1775.0, 216, 1702.2),
			89.9952330, 0.0277285, 0.0001044, 96.5, 1883.76,
		},
		// Schwartz, Practical Scalability Analysis with the Universal Scalability Law.
		{
			"Cisco benchmark", pairs(1, 955.16, 2, 1878.91, 3, 2688.01, 4, 3548.68, 5, 4315.54, 6, 5130.43, 7, 5931.37, 8, 6531.08, 9, 7219.8, 10, 7867.61,
				11, 8278.71, 12, 8646.7, 13, 9047.84, 14, 9426.55, 15, 9645.37, 16, 9897.24, 17, 10097.6, 18, 10240.5, 19, 10532.39, 20, 10798.52, 21, 11151.43,
				22, 11518.63, 23, 11806, 24, 12089.37, 25, 12075.41, 26, 12177.29, 27, 12211.41, 28, 12158.93, 29, 12155.27, 30, 12118.04, 31, 12140.4, 32, 12074.39),
			995.6486, 0.02671591, 7.690945e-4, 35.6, 12341.7,
		},
	} {
		f, err := Of(c.points)
		if err != nil {
			t.Fatal(err)
		}
		near(t, c.name+": λ", f.Lambda.Value, c.lambda, 1e-3)
		near(t, c.name+": σ", f.Sigma.Value, c.sigma, 2e-3)
		near(t, c.name+": κ", f.Kappa.Value, c.kappa, 2e-3)
		near(t, c.name+": N*", f.Peak, c.peak, 0.01)
		near(t, c.name+": X(N*)", f.Ceiling, c.ceiling, 2e-3)
		t.Logf("%s: %+v", c.name, f)
	}
}

func pairs(all ...float64) (out []Point) {
	for p := range slices.Chunk(all, 2) {
		out = append(out, Point{p[0], p[1]})
	}
	return out
}

func near(t *testing.T, what string, got, want, within float64) {
	t.Helper()
	if math.IsNaN(got) || math.Abs(got-want) > within*math.Abs(want) {
		t.Errorf("%s is %g, want %g within %g %%", what, got, want, 100*within)
	}
}

func law(lambda, sigma, kappa float64, levels ...float64) (out []Point) {
	for _, n := range levels {
		out = append(out, Point{n, lambda * n / (1 + sigma*(n-1) + kappa*n*(n-1))})
	}
	return out
}

// TestKnownLawsAreFound, whatever their parameters, units and order of points.
func TestKnownLawsAreFound(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(1, 2))
	for range 300 {
		lambda, sigma, kappa := math.Exp(8*r.Float64()-2), 0.7*r.Float64(), math.Pow(10, -5+3*r.Float64())
		if r.IntN(4) == 0 {
			sigma = 0
		}
		if r.IntN(4) == 0 {
			kappa = 0
		}
		var levels []float64
		for n := 0.2 + r.Float64(); len(levels) < 6+r.IntN(10) || n < 30; n *= 1.3 + r.Float64() {
			levels = append(levels, n)
		}
		points := law(lambda, sigma, kappa, levels...)
		r.Shuffle(len(points), func(i, j int) { points[i], points[j] = points[j], points[i] })
		f, err := Of(points)
		if err != nil {
			t.Fatal(err)
		}
		// Only what the points can tell: X at each of them, and beyond by half.
		for _, p := range append(points, law(lambda, sigma, kappa, 1.5*f.Highest)...) {
			near(t, "X", f.At(p.Concurrency), p.Throughput, 1e-4)
		}
		near(t, "λ", f.Lambda.Value, lambda, 1e-3)
		if math.Abs(f.Sigma.Value-sigma) > 1e-4 || math.Abs(f.Kappa.Value-kappa) > 1e-5 {
			t.Fatalf("λ %g, σ %g, κ %g: found %+v", lambda, sigma, kappa, f)
		}
		if len(f.Poor) > 0 {
			t.Fatalf("a law itself is a poor fit: %v of %v", f.Poor, points)
		}
	}
}

// TestIntervalsHoldTheTruth about as often as they say, with noise of two percent.
func TestIntervalsHoldTheTruth(t *testing.T) {
	t.Parallel()
	r := rand.New(rand.NewPCG(3, 4))
	const trials = 300
	held := 0
	for range trials {
		points := law(100, 0.08, 0.0008, 1, 2, 3, 5, 8, 12, 17, 23, 30, 40, 55, 70)
		for i := range points {
			points[i].Throughput *= 1 + 0.02*r.NormFloat64()
		}
		f, err := Of(points)
		if err != nil {
			t.Fatal(err)
		}
		if f.Sigma.Low <= 0.08 && 0.08 <= f.Sigma.High {
			held++
		}
		if f.Kappa.Low < 0 || f.Sigma.Low < 0 || f.Kappa.Value < 0 || f.Sigma.Value < 0 {
			t.Fatalf("below 0: %+v", f)
		}
	}
	if held < trials*80/100 || held > trials*98/100 {
		t.Errorf("of 90 %% intervals %d in %d hold σ", held, trials)
	}
	t.Logf("%d of %d", held, trials)
}

// TestOneWorkerIsALaw: one worker with a queue and arrivals by chance is the law with σ
// of a half and no κ, whose ceiling is what the worker can do.
func TestOneWorkerIsALaw(t *testing.T) {
	t.Parallel()
	var points []Point
	for _, load := range []float64{0.1, 0.3, 0.5, 0.6, 0.7, 0.8, 0.9} {
		points = append(points, Point{load / (1 - load), 200 * load})
	}
	f, err := Of(points)
	if err != nil {
		t.Fatal(err)
	}
	near(t, "λ", f.Lambda.Value, 100, 1e-6)
	near(t, "σ", f.Sigma.Value, 0.5, 1e-6)
	near(t, "ceiling", f.Ceiling, 200, 1e-6)
	if f.Kappa.Value > 1e-9 || f.Peak != 0 && f.Beyond == "" {
		t.Errorf("%+v", f)
	}
}

// TestPoorFitsAreFlagged, each for its reason.
func TestPoorFitsAreFlagged(t *testing.T) {
	t.Parallel()
	levels := []float64{1, 2, 3, 4, 5, 6, 8, 10, 12, 14, 16, 20, 24, 28, 32}
	knee := law(100, 0, 0, levels...) // a pod that does eight at once, and no more
	noisy, dropping := law(100, 0.05, 0.001, levels...), law(100, 0, 0, levels...)
	r := rand.New(rand.NewPCG(5, 6))
	for i := range levels {
		knee[i].Throughput = min(knee[i].Throughput, 800)
		noisy[i].Throughput *= math.Exp(0.5 * r.NormFloat64())
		if i > 6 {
			dropping[i].Throughput = 100
		}
	}
	for _, c := range []struct {
		name   string
		points []Point
		want   string
	}{
		{"noise", noisy, "explains"},
		{"a pod that gives in at once", dropping, "long stretches"},
		{"a sharp knee", knee, "long stretches"},
		{"hardly any range", law(100, 0.05, 0.001, 10, 11, 12, 13, 14, 15, 16), "too narrow"},
	} {
		f, err := Of(c.points)
		if err != nil {
			t.Fatal(err)
		}
		if !strings.Contains(strings.Join(f.Poor, "; "), c.want) {
			t.Errorf("%s: %v, want %q; %+v", c.name, f.Poor, c.want, f)
		}
	}
	seen := law(100, 0.02, 0.002, 1, 2, 4, 8, 12, 16, 20, 23) // N* is 22
	f, err := Of(seen)
	if err != nil || !strings.Contains(f.Beyond, "never seen to fall") {
		t.Errorf("a little above N*: %+v, %v", f, err)
	}
	worker := append(law(100, 0.5, 0.02, 0.2, 0.5, 1, 1.5, 2, 3, 4, 5), Point{6, 155}) // bends, and does not fall
	if f, err = Of(worker); err != nil || !strings.Contains(strings.Join(f.Poor, "; "), "155.0/s was seen, more than the ") {
		t.Errorf("more than is possible: %+v, %v", f, err)
	}
	f, err = Of(law(100, 0.02, 0.0001, 1, 2, 4, 8, 12, 16, 20, 30))
	if err != nil || f.Beyond == "" || len(f.Poor) > 0 {
		t.Errorf("N* is %.0f and 30 was seen: %+v, %v", f.Peak, f, err)
	} else if !strings.Contains(f.Beyond, "30 % of N*: extrapolated") {
		t.Errorf("it says %q", f.Beyond)
	}
	if f, err = Of(law(100, 0.02, 0.002, 1, 2, 4, 8, 12, 16, 20, 30)); err != nil || f.Beyond != "" {
		t.Errorf("N* was passed: %+v, %v", f, err)
	}
}

// TestTooFewPoints: like ones count once, those that mean nothing not at all.
func TestTooFewPoints(t *testing.T) {
	t.Parallel()
	points := append(law(100, 0.1, 0, 1, 2, 4, 8, 16), Point{16.1, 650}, Point{0, 5}, Point{math.NaN(), 5}, Point{3, 0}, Point{math.Inf(1), 1})
	if _, err := Of(points); !errors.Is(err, ErrTooFew) || !strings.Contains(err.Error(), "5, want 6") {
		t.Errorf("%v", err)
	}
	if _, err := Of(nil); !errors.Is(err, ErrTooFew) {
		t.Errorf("%v", err)
	}
}

// TestRunsChance against all orders of a few points.
func TestRunsChance(t *testing.T) {
	t.Parallel()
	for n := 2; n <= 10; n++ {
		for ups := 1; ups < n; ups++ {
			counts, all := map[int]int{}, 0
			var one []bool
			for bits := range 1 << n {
				above := make([]bool, n)
				k := 0
				for i := range above {
					if above[i] = bits>>i&1 == 1; above[i] {
						k++
					}
				}
				if k == ups {
					counts[runs(above)]++
					all++
					one = above
				}
			}
			fewer := 0
			for r := 2; r <= runs(one); r++ {
				fewer += counts[r]
			}
			near(t, "chance", runsChance(one), float64(fewer)/float64(all), 1e-9)
		}
	}
}

func runs(above []bool) int {
	n := 1
	for i := 1; i < len(above); i++ {
		if above[i] != above[i-1] {
			n++
		}
	}
	return n
}

package sketch_test

import (
	"math"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"github.com/kongdao/kongdao/loadtest/sketch"
)

// Whatever is counted is read back at most 0.8 % off.
func TestOneDuration(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 1))
	for range 100_000 {
		d := time.Duration(math.Exp(r.Float64() * math.Log(float64(time.Hour))))
		d = max(time.Microsecond, d.Truncate(time.Microsecond))
		if got := sketch.Of(d).Max(); math.Abs(float64(got-d)) > 0.008*float64(d) {
			t.Fatalf("%v is read back as %v", d, got)
		}
	}
	if got := sketch.Of(3 * time.Hour).Max(); got < 59*time.Minute || got > 61*time.Minute {
		t.Errorf("what is beyond the end is read back as %v", got)
	}
}

func TestQuantilesOfMany(t *testing.T) {
	r := rand.New(rand.NewPCG(2, 2))
	var all []time.Duration
	var parts []sketch.Sketch
	for range 10 {
		var part []time.Duration
		for range 1000 {
			part = append(part, time.Duration(r.ExpFloat64()*float64(20*time.Millisecond)))
		}
		parts = append(parts, sketch.Of(part...))
		all = append(all, part...)
	}
	slices.Sort(all)
	s := sketch.Merge(parts...)
	if s.Count() != 10_000 {
		t.Errorf("counts %d", s.Count())
	}
	if !s.Equal(sketch.Of(all...)) {
		t.Error("merged parts differ from the whole")
	}
	for _, q := range []float64{0.01, 0.5, 0.9, 0.99} {
		want := all[int(q*10_000)-1]
		if got := s.Quantile(q); math.Abs(float64(got-want)) > 0.017*float64(want) {
			t.Errorf("quantile %v is %v, want %v", q, got, want)
		}
	}
	if got := s.Mean(); got < 19*time.Millisecond || got > 21*time.Millisecond {
		t.Errorf("mean %v", got)
	}
}

func TestEmpty(t *testing.T) {
	var s sketch.Sketch
	if s.Quantile(0.5) != 0 || s.Max() != 0 || s.Mean() != 0 || s.Count() != 0 {
		t.Error("an empty sketch knows something")
	}
}

func FuzzText(f *testing.F) {
	first, _ := sketch.Of(1, time.Millisecond, time.Second, time.Second).MarshalText()
	f.Add(first)
	f.Add([]byte("AAAA"))
	f.Fuzz(func(t *testing.T, text []byte) {
		var s, again sketch.Sketch
		if s.UnmarshalText(text) != nil {
			return
		}
		out, _ := s.MarshalText()
		if err := again.UnmarshalText(out); err != nil || !again.Equal(s) {
			t.Errorf("%q gives %q, %v", text, out, err)
		}
	})
}

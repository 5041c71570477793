package api

import (
	"encoding/json"
	"testing"
)

func TestRateIsReadAsItIsWritten(t *testing.T) {
	for text, want := range map[string]float64{"10/s": 10, "0.5/s": 0.5, "600/m": 10, "12/m": 0.2, "5000/h": 5000.0 / 3600, "12/h": 1.0 / 300} {
		var r Rate
		if err := r.UnmarshalText([]byte(text)); err != nil || float64(r) != want {
			t.Errorf("%s: %v, %v", text, float64(r), err)
		}
		printed, err := json.Marshal(r)
		if err != nil {
			t.Fatal(err)
		}
		var again Rate
		if err := json.Unmarshal(printed, &again); err != nil || again.String() != r.String() {
			t.Errorf("%s is printed as %s, which is read as %v: %v", text, printed, again, err)
		}
	}
	for _, text := range []string{"", "10", "10/d", "-1/s", "1e3/s", "ten/s", "10/s/s", "/s"} {
		if err := new(Rate).UnmarshalText([]byte(text)); err == nil {
			t.Errorf("%q was read", text)
		}
	}
}

// TestLimitsMeet counts the limits that hold for one function, wherever written.
func TestLimitsMeet(t *testing.T) {
	own := CallerLimit{Per: PerIP, Rate: 1}
	f := &Function{Metadata: Metadata{Name: "feed"}, Spec: FunctionSpec{Limits: []CallerLimit{own}}}
	s := Set{Functions: []*Function{f}}
	for _, name := range []string{"a", "b", "c", "d"} {
		s.Limits = append(s.Limits, &Limit{Metadata: Metadata{Name: name}, Spec: LimitSpec{Per: PerIP, Rate: 1}})
	}
	s.Limits[3].Spec.Functions = []string{"other"}
	all := s.LimitsOf(f)
	if len(all) != 4 || all[0].Bucket != "feed/ip" || all[3].Bucket != "*/c" || all[3].Label() != "ip:c" {
		t.Errorf("limits of feed: %+v", all)
	}
	s.Limits[3].Spec.Functions = nil
	found := false
	for _, p := range Validate(s) {
		found = found || p.Field == "spec.limits"
	}
	if !found {
		t.Error("five limits at one function are none too many")
	}
}

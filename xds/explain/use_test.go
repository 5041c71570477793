package explain

import (
	"strings"
	"testing"
)

func TestInUse(t *testing.T) {
	a := Answer{Limits: []Limit{{Name: "consumer", RequestsPerSecond: 5}, {Name: limitName, RequestsPerSecond: 150}}}
	shares := []Share{
		{Gateway: "gw-1", RequestsPerSecond: 240, Known: true, Admitted: 239.6, Refused: 80},
		{Gateway: "gw-2", RequestsPerSecond: 60, Known: true, Admitted: 20},
	}
	a.InUse(300, shares)
	l := a.Limits[1]
	if len(a.Limits[0].Gateways) != 0 || len(l.Gateways) != 2 || l.Gateways[0].RequestsPerSecond != 120 || l.Gateways[1].Left != 20 {
		t.Errorf("%+v", a.Limits)
	}
	if shares[0].RequestsPerSecond != 240 {
		t.Error("the caller's shares were changed")
	}
	text := a.Text()
	for _, want := range []string{"in use: 130/s of 150/s, about 40/s refused, 20/s left", "gw-1: 120/s of 120/s, about 40/s refused, 0/s left", "gw-2: 10/s of 30/s, 20/s left"} {
		if !strings.Contains(text, want) {
			t.Errorf("%q is not in\n%s", want, text)
		}
	}
	a.InUse(300, []Share{{Gateway: "gw-1", RequestsPerSecond: 300}})
	if text := a.Text(); !strings.Contains(text, "in use: not known, of 150/s") || strings.Contains(text, "gw-1") {
		t.Errorf("one gateway that does not report:\n%s", text)
	}
	a = Answer{Limits: []Limit{{Name: "concurrency", InFlight: 3}}}
	a.InUse(0, nil)
	a.InUse(300, shares)
	if len(a.Limits[0].Gateways) != 0 {
		t.Errorf("%+v", a.Limits)
	}
}

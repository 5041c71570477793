package plan

import (
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"unicode"
)

// WhatIf is an event that is thought to fall on the peak.
type WhatIf struct {
	Name   string  `json:"name"`
	Factor float64 `json:"factor"` // what the peak is multiplied by
}

// ParseWhatIf reads an event such as 11.11=8x.
func ParseWhatIf(text string) (WhatIf, error) {
	name, factor, ok := strings.Cut(text, "=")
	f, err := strconv.ParseFloat(strings.TrimSuffix(factor, "x"), 64)
	if !ok || name == "" || strings.ContainsFunc(name, unicode.IsControl) || err != nil || !(f > 0) || math.IsInf(f, 0) {
		return WhatIf{}, fmt.Errorf("event: is %q, want a name and a factor, such as 11.11=8x", text)
	}
	return WhatIf{name, f}, nil
}

// factor is that of the largest of the events: they are not thought to meet.
func (p Policy) factor() float64 {
	if len(p.Events) == 0 {
		return 1
	}
	return slices.MaxFunc(p.Events, func(a, b WhatIf) int {
		switch {
		case a.Factor < b.Factor:
			return -1
		case a.Factor > b.Factor:
			return 1
		}
		return 0
	}).Factor
}

// imagined is the policy with the zones that are thought away gone.
func (p Policy) imagined() (Policy, error) {
	if err := p.Validate(); err != nil || len(p.Without) == 0 {
		return p, err
	}
	for _, z := range p.Without {
		if !slices.Contains(p.Zones, z) {
			return p, fmt.Errorf("without: %s is not one of the zones %s", z, strings.Join(p.Zones, ", "))
		}
	}
	p.Zones = slices.DeleteFunc(slices.Clone(p.Zones), func(z string) bool { return slices.Contains(p.Without, z) })
	if err := p.Validate(); err != nil {
		return p, fmt.Errorf("without %s: %w", strings.Join(p.Without, ", "), err)
	}
	return p, nil
}

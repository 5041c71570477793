package explain

import (
	"fmt"
	"math"
)

// Share is one gateway's part of a function's limit, and how it is used. Gateways
// report it; what they were asked for in the last few seconds is what is known of
// it.
type Share struct {
	Gateway           string  `json:"gateway"`
	RequestsPerSecond float64 `json:"requests_per_second"` // that it admits at most
	Known             bool    `json:"known"`               // it reports; else the rest is 0
	Admitted          float64 `json:"admitted"`            // requests a second
	Refused           float64 `json:"refused"`             // by this limit, about so many requests a second
	Left              float64 `json:"left"`                // requests a second that it would still admit
}

// InUse says of the function's limit how much of it is in use at its gateways.
// Answers without such a limit stay as they are. Rates in shares are those of
// ordinary requests, of which the function's gateways together admit limit a second;
// where a request costs more than an ordinary one, as many fewer are left.
func (a *Answer) InUse(limit float64, shares []Share) {
	if limit <= 0 {
		return
	}
	for i, l := range a.Limits {
		if l.Name != limitName || len(shares) == 0 {
			continue
		}
		own := make([]Share, len(shares))
		for n, s := range shares {
			scale := l.RequestsPerSecond / limit
			s.RequestsPerSecond, s.Admitted, s.Refused = s.RequestsPerSecond*scale, s.Admitted*scale, s.Refused*scale
			s.Left = math.Max(0, s.RequestsPerSecond-s.Admitted)
			own[n] = s
		}
		a.Limits[i].Gateways = own
	}
}

// useStory tells how much of the limit is in use: in all, and by gateway where there
// are several.
func (l Limit) useStory(line func(topic, format string, args ...any)) {
	all := Share{Gateway: "in use", Known: true}
	for _, s := range l.Gateways {
		all.RequestsPerSecond += s.RequestsPerSecond
		all.Admitted += s.Admitted
		all.Refused += s.Refused
		all.Left += s.Left
		all.Known = all.Known && s.Known
	}
	if len(l.Gateways) == 0 {
		return
	}
	line("", "%s", all.text())
	if len(l.Gateways) == 1 {
		return
	}
	for _, s := range l.Gateways {
		line("", "%s", s.text())
	}
}

func (s Share) text() string {
	if !s.Known && s.Admitted+s.Refused == 0 {
		return fmt.Sprintf("%s: not known, of %s/s", s.Gateway, number(s.RequestsPerSecond))
	}
	text := fmt.Sprintf("%s: %s/s of %s/s", s.Gateway, number(math.Round(s.Admitted)), number(s.RequestsPerSecond))
	if s.Refused > 0 {
		text += fmt.Sprintf(", about %s/s refused", number(math.Round(s.Refused)))
	}
	return text + fmt.Sprintf(", %s/s left", number(math.Round(s.Left)))
}

package report

import "fmt"

// Canary is what the first phase of a run was answered: a hundredth of its peak rate
// before the run itself, whose figures do not hold it.
type Canary struct {
	Seconds float64           `json:"duration_s"`
	Rate    float64           `json:"rate"` // requests a second, or iterations where there are steps
	Sent    uint64            `json:"sent"` // 0: there was nothing to send, as no row of a data file was left for it
	Latency Latency           `json:"latency_s"`
	Status  map[int]uint64    `json:"status"`
	Errors  map[string]uint64 `json:"errors,omitempty"`
	OK      bool              `json:"ok"`               // false: the run has not begun
	Broken  []string          `json:"broken,omitempty"` // why
}

func (r Result) writeCanary(row func(name, format string, args ...any)) {
	c := r.Canary
	if c == nil {
		return
	}
	text := ""
	if len(c.Errors) > 0 {
		text = "  errors " + counts(c.Errors)
	}
	how := "kept"
	if !c.OK {
		how = "BROKEN"
	}
	row("canary", "%s  %d sent at %s/s for %.1f s  p50 %s  max %s  status %s%s", how, c.Sent, fmt.Sprintf("%.4g", c.Rate), c.Seconds,
		ms(c.Latency.P50), ms(c.Latency.Max), counts(c.Status), text)
}

// Answers is what requests were answered, such as "status 200: 3, 404: 2; errors refused: 1".
func Answers(status map[int]uint64, errors map[string]uint64) string {
	text := "status " + counts(status)
	if len(errors) > 0 {
		text += "; errors " + counts(errors)
	}
	return text
}

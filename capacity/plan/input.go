package plan

// Sources of inputs.
const (
	SourceMeasured = "measured" // by a search
	SourceDeclared = "declared" // in the resource or the configuration
	SourceForecast = "forecast" // from stored calls
	SourceAsked    = "asked"    // with this question
	SourceUnknown  = "unknown"
)

// Input is one figure that a plan assumes, and where it is from.
type Input struct {
	Name   string  `json:"name"` // such as peak, safe_rate, growth
	Value  float64 `json:"value"`
	Source string  `json:"source"`
	Date   string  `json:"date,omitempty"` // of the measurement or forecast, YYYY-MM-DD
	Used   bool    `json:"used"`           // false: another input of the name was more
	Text   string  `json:"text,omitempty"` // for people
}

// inputs are those of the function, then those of the question.
func (p Policy) inputs(f Function) []Input {
	all := append([]Input(nil), f.Inputs...)
	if len(all) == 0 {
		return nil // nobody said where anything is from
	}
	all = append(all, Input{Name: "growth", Value: p.Growth, Source: SourceAsked, Used: true},
		Input{Name: "utilisation", Value: p.Utilisation, Source: SourceAsked, Used: true})
	for _, e := range p.Events {
		all = append(all, Input{Name: "event " + e.Name, Value: e.Factor, Source: SourceAsked, Used: e.Factor == p.factor()})
	}
	return all
}

// Package crew lets several generators carry out one load test: a [Coordinator] has
// the plan, [Agent]s join it, each from a machine of its own.
//
// The rate is shared exactly: of n agents the i-th sends request i, i+n, i+2n … of the
// plan, at the times of the plan. Agents begin together: their clocks are compared
// first, over several round trips, and one that is too far off may not join.
// Histograms are merged, not averaged. An agent that dies, hangs or is invalid makes
// the run invalid, by name; what ends the run on one side ends it on all within a
// second. An agent obeys its own limits: it refuses a scenario whose targets its own
// list does not allow, whoever asks.
//
// Messages are JSON, one a line, over TCP or TLS. Both sides prove that they know the
// token without sending it; what follows is neither encrypted nor signed without TLS.
package crew

import (
	"encoding/json"
	"time"

	"github.com/HdrHistogram/hdrhistogram-go"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/attack"
)

// message is anything that is sent; one field is set.
type message struct {
	Nonce    string           `json:"nonce,omitempty"` // coordinator's first word
	Hello    *hello           `json:"hello,omitempty"`
	Welcome  string           `json:"welcome,omitempty"` // the coordinator's proof
	Refused  string           `json:"refused,omitempty"` // why, either side; the end
	Ask      bool             `json:"ask,omitempty"`     // what time is it
	Clock    int64            `json:"clock,omitempty"`   // the agent's, nanoseconds since 1970
	Job      *job             `json:"job,omitempty"`
	Ready    bool             `json:"ready,omitempty"`
	Begin    int64            `json:"begin,omitempty"` // by the agent's clock
	Alive    bool             `json:"alive,omitempty"` // once a second, from the coordinator
	Stop     bool             `json:"stop,omitempty"`
	Progress *attack.Progress `json:"progress,omitempty"` // once a second, from the agent
	Done     *outcome         `json:"done,omitempty"`
	Try      time.Duration    `json:"try,omitempty"` // the first phase, nanoseconds
	Tried    *outcome         `json:"tried,omitempty"`
	// Single results follow an agent's Done, when the job asks for them.
	Results    []byte `json:"results,omitempty"`
	ResultsEnd bool   `json:"results_end,omitempty"`
}

type hello struct {
	Name  string `json:"name"`
	Nonce string `json:"nonce"`
	Proof string `json:"proof"`
}

// job is what an agent is to do.
type job struct {
	Run   string           `json:"run"`
	Name  string           `json:"name"` // of the scenario
	Spec  api.ScenarioSpec `json:"spec"`
	Seed  uint64           `json:"seed"`
	Share attack.Share     `json:"share"`
	// MaxBytes is what all agents together may receive and send; 0: as the agent's own.
	MaxBytes uint64 `json:"max_bytes,omitempty"`
	Results  bool   `json:"results,omitempty"` // single ones are wanted
}

// outcome is what an agent measured.
type outcome struct {
	Stats stats    `json:"stats"`
	Error string   `json:"error,omitempty"`
	Said  []string `json:"said,omitempty"` // errors of the first phase, as texts
}

// stats are attack.Stats with histograms as text.
type stats struct {
	attack.Stats
	Latency string   `json:"latency"`
	Lag     string   `json:"lag"`
	Series  []series `json:"series,omitempty"`
}

type series struct {
	attack.Series
	Latency string `json:"latency"`
}

func (s stats) MarshalJSON() ([]byte, error) {
	type plain stats
	p := plain(s)
	// The embedded histograms have no text of their own; those of this struct count.
	p.Stats.Latency, p.Stats.Lag, p.Stats.Series = nil, nil, nil
	return json.Marshal(p)
}

func encode(s attack.Stats) (out stats, err error) {
	out.Stats = s
	if out.Latency, err = text(s.Latency); err != nil {
		return out, err
	}
	if out.Lag, err = text(s.Lag); err != nil {
		return out, err
	}
	for _, v := range s.Series {
		t, err := text(v.Latency)
		if err != nil {
			return out, err
		}
		v.Latency = nil
		out.Series = append(out.Series, series{Series: v, Latency: t})
	}
	return out, nil
}

func (s stats) decode() (out attack.Stats, err error) {
	out = s.Stats
	if out.Latency, err = histogram(s.Latency); err != nil {
		return out, err
	}
	if out.Lag, err = histogram(s.Lag); err != nil {
		return out, err
	}
	out.Series = nil
	for _, v := range s.Series {
		if v.Series.Latency, err = histogram(v.Latency); err != nil {
			return out, err
		}
		out.Series = append(out.Series, v.Series)
	}
	return out, nil
}

func text(h *hdrhistogram.Histogram) (string, error) {
	if h == nil {
		h = empty()
	}
	b, err := h.Encode(hdrhistogram.V2CompressedEncodingCookieBase)
	return string(b), err
}

// histogram has the bounds of all others here, so that it can be merged with them.
func histogram(text string) (*hdrhistogram.Histogram, error) {
	read, err := hdrhistogram.Decode([]byte(text))
	if err != nil {
		return nil, err
	}
	h := empty()
	h.Merge(read)
	return h, nil
}

func empty() *hdrhistogram.Histogram {
	return hdrhistogram.New(1, int64(time.Hour/time.Microsecond), 3)
}

package dingtalktest

import (
	"bytes"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"slices"
	"strconv"
	"strings"
	"time"
)

// answer is what a robot says; HTTP is 200 whatever it is.
type answer struct {
	Code    int    `json:"errcode"`
	Message string `json:"errmsg"`
}

// tooFast is the answer above the limit, word for word.
const tooFast = `{"status":1111,"wait":5,"source":"x5","punish":"deny","errcode":130101,"errmsg":"send too fast, exceed 20 times per minute"}`

// ServeHTTP takes one message, or one request to the OpenAPI.
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	if strings.HasPrefix(r.URL.Path, "/v1.0/") {
		s.serveApp(w, r)
		return
	}
	if s.cfg.App != nil && r.URL.Path == pathConnect {
		s.serveStream(w, r)
		return
	}
	if r.URL.Path != "/robot/send" || r.Method != http.MethodPost {
		http.NotFound(w, r)
		return
	}
	body, err := io.ReadAll(io.LimitReader(r.Body, 1<<20))
	if err != nil {
		return // the client went away
	}
	fault := s.nextFault()
	if fault.before(w, r) {
		s.refuse(r, answer{Message: "injected: " + fault.String()})
		return
	}
	a := s.judge(r, body, fault)
	if fault.Kind == LoseAnswer {
		panic(http.ErrAbortHandler) // closes the connection without an answer
	}
	w.Header().Set("Content-Type", "application/json")
	if a.Code == 130101 {
		_, _ = io.WriteString(w, tooFast)
		return
	}
	_ = json.NewEncoder(w).Encode(a)
}

// judge decides about one message and remembers it.
func (s *Server) judge(r *http.Request, body []byte, fault Fault) answer {
	m, a := s.check(r.URL.Query(), body)
	if a.Code == 0 && fault.Kind == Errcode {
		a = answer{fault.Code, "injected"}
	}
	if a.Code == 0 && !s.admit(m.Token) {
		a = answer{130101, "send too fast, exceed 20 times per minute"}
	}
	if a.Code != 0 {
		s.refuse(r, a)
		return a
	}
	s.accept(m)
	return answer{0, "ok"}
}

func (s *Server) accept(m Received) {
	s.mu.Lock()
	defer s.mu.Unlock()
	m.At = s.cfg.Now()
	s.accepted = append(s.accepted, m)
	close(s.changed)
	s.changed = make(chan struct{})
}

func (s *Server) refuse(r *http.Request, a answer) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.refused = append(s.refused, Refusal{r.URL.Query().Get("access_token"), s.cfg.Now(), a.Code, a.Message})
}

// admit counts an arrival and applies the rule of twenty in any minute. Tries
// of a silenced robot are refused and do not prolong its silence.
func (s *Server) admit(token string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	r, now := s.robots[token], s.cfg.Now()
	if now.Before(r.silenced) {
		return false
	}
	r.arrivals = slices.DeleteFunc(r.arrivals, func(t time.Time) bool { return now.Sub(t) >= window })
	r.arrivals = append(r.arrivals, now)
	if len(r.arrivals) > limit {
		r.silenced, r.arrivals = now.Add(punishment), nil
		return false
	}
	return true
}

// check applies every rule that needs no memory.
func (s *Server) check(q url.Values, body []byte) (Received, answer) {
	token := q.Get("access_token")
	if s.robots[token] == nil { // the map never changes
		return Received{}, answer{300001, "token is not exist"}
	}
	if a := s.checkSignature(q); a.Code != 0 {
		return Received{}, a
	}
	if len(body) > maxBytes {
		return Received{}, answer{460101, "message too long, exceed 20000 bytes"}
	}
	m, err := decode(body)
	if err != nil {
		return Received{}, answer{400002, err.Error()}
	}
	m.Token, m.Bytes = token, len(body)
	if len(s.cfg.Keywords) > 0 && !slices.ContainsFunc(s.cfg.Keywords, func(k string) bool { return strings.Contains(m.Title+m.Text, k) }) {
		return Received{}, answer{310000, "keywords not in content"}
	}
	return m, answer{}
}

func (s *Server) checkSignature(q url.Values) answer {
	if s.cfg.Secret == "" {
		return answer{}
	}
	ms, err := strconv.ParseInt(q.Get("timestamp"), 10, 64)
	if err != nil {
		return answer{310000, "sign not match: timestamp is not a number"}
	}
	if d := s.cfg.Now().Sub(time.UnixMilli(ms)).Abs(); d > clockSkew {
		return answer{310000, "invalid timestamp"}
	}
	mac := hmac.New(sha256.New, []byte(s.cfg.Secret))
	mac.Write([]byte(q.Get("timestamp") + "\n" + s.cfg.Secret))
	want := base64.StdEncoding.EncodeToString(mac.Sum(nil))
	if !hmac.Equal([]byte(want), []byte(q.Get("sign"))) {
		return answer{310000, "sign not match"}
	}
	return answer{}
}

type wire struct {
	Type     string `json:"msgtype"`
	Text     *struct{ Content string }
	Markdown *struct{ Title, Text string }
	Card     *struct {
		Title          string
		Text           string
		SingleTitle    string
		SingleURL      string
		BtnOrientation string
		HideAvatar     string
		Btns           []struct{ Title, ActionURL string }
	} `json:"actionCard"`
	At *struct {
		AtMobiles []string
		AtUserIds []string
		IsAtAll   bool
	}
}

// decode takes exactly the shapes that robots take; unknown fields are refused.
func decode(body []byte) (Received, error) {
	d := json.NewDecoder(bytes.NewReader(body))
	d.DisallowUnknownFields()
	var w wire
	if err := d.Decode(&w); err != nil {
		return Received{}, fmt.Errorf("invalid json: %w", err)
	}
	if _, err := d.Token(); err != io.EOF {
		return Received{}, fmt.Errorf("invalid json: more than one value")
	}
	m := Received{Type: w.Type}
	switch {
	case w.Type == "text" && w.Text != nil && w.Markdown == nil && w.Card == nil:
		m.Text = w.Text.Content
	case w.Type == "markdown" && w.Markdown != nil && w.Text == nil && w.Card == nil:
		m.Title, m.Text = w.Markdown.Title, w.Markdown.Text
	case w.Type == "actionCard" && w.Card != nil && w.Text == nil && w.Markdown == nil:
		m.Title, m.Text = w.Card.Title, w.Card.Text
		for _, b := range w.Card.Btns {
			m.Buttons = append(m.Buttons, Button(b))
		}
		if len(m.Buttons) == 0 && w.Card.SingleURL == "" {
			return Received{}, fmt.Errorf("param error: actionCard needs btns or singleURL")
		}
	default:
		return Received{}, fmt.Errorf("msgtype %q does not go with its content", w.Type)
	}
	if m.Text == "" || (m.Type != "text" && m.Title == "") {
		return Received{}, fmt.Errorf("param error: %s needs title and text", m.Type)
	}
	if w.At != nil {
		m.AtMobiles, m.AtUsers, m.AtAll = w.At.AtMobiles, w.At.AtUserIds, w.At.IsAtAll
	}
	return m, nil
}

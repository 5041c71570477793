package dingtalktest

import (
	"fmt"
	"net/http"
)

// FaultKind is a way to fail.
type FaultKind int

const (
	// None is no fault; it lets one message pass in a list of faults.
	None FaultKind = iota
	// HTTPStatus answers with status Code before looking at the message.
	HTTPStatus
	// Hang never answers; it ends when the client gives up.
	Hang
	// Errcode refuses a message, otherwise fine, with errcode Code.
	Errcode
	// LoseAnswer accepts the message and closes the connection without answering.
	LoseAnswer
)

// Fault is what happens to one message.
type Fault struct {
	Kind FaultKind
	Code int // HTTP status or errcode
}

func (f Fault) String() string {
	names := [...]string{"none", "http", "hang", "errcode", "lost answer"}
	if f.Code == 0 {
		return names[f.Kind]
	}
	return fmt.Sprintf("%s %d", names[f.Kind], f.Code)
}

// Inject makes the next messages fail, one fault for each, after those injected
// before.
func (s *Server) Inject(faults ...Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.faults = append(s.faults, faults...)
}

func (s *Server) nextFault() Fault {
	s.mu.Lock()
	defer s.mu.Unlock()
	if len(s.faults) == 0 {
		return s.always
	}
	f := s.faults[0]
	s.faults = s.faults[1:]
	return f
}

// before reports whether the fault ended the request before it was judged.
func (f Fault) before(w http.ResponseWriter, r *http.Request) bool {
	switch f.Kind {
	case HTTPStatus:
		http.Error(w, http.StatusText(f.Code), f.Code)
		return true
	case Hang:
		<-r.Context().Done()
		return true
	}
	return false
}

// FailAll makes every message fail in the same way, after those injected, until it is
// called again with None.
func (s *Server) FailAll(f Fault) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.always = f
}

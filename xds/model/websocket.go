package model

import (
	"slices"
	"strings"
)

// Header and only value of the version of websockets.
const (
	WebsocketHeader  = "sec-websocket-version"
	WebsocketVersion = "13"
)

// TakesWebsockets tells whether one of the host's rules is for websockets.
func (h *Host) TakesWebsockets() bool { return slices.ContainsFunc(h.Rules, isWebsocket) }

func isWebsocket(r *Rule) bool { return r.Websocket }

// Websockets are the rules that a handshake for a host is tried against, in order,
// those of wider hosts included; none where the host itself has none, for then
// wider hosts have their own.
func (w *World) Websockets(h *Host) (rules []*Rule) {
	if !h.TakesWebsockets() {
		return nil
	}
	all := h.Rules
	if !h.Wildcard() {
		all = w.Candidates(h.Name)
	}
	for _, r := range all {
		if r.Websocket {
			rules = append(rules, r)
		}
	}
	return rules
}

// Handshake tells whether a request asks for a websocket.
func Handshake(values Values) bool {
	if len(values(WebsocketHeader)) == 0 {
		return false
	}
	return slices.ContainsFunc(values("upgrade"), func(v string) bool { return strings.EqualFold(v, "websocket") })
}

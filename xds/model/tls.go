package model

import (
	"time"

	"github.com/kongdao/kongdao/api"
)

// TLS is what gateways show to clients that call by TLS. Nobody changes it once it
// is in an Input; another one is in force by its pointer.
type TLS struct {
	// Slots are the certificates in the order in which gateways try them; the first
	// is shown to clients that ask for a name that none has. Their number never
	// changes while the control plane runs: gateways know each slot by its number,
	// so that a new certificate changes no listener.
	Slots []Certificate
	// ClientCA are the certificates, PEM, that sign those of clients; empty: clients
	// are not asked for theirs.
	ClientCA string
	// Redirect: a request without TLS is sent to the same address with it.
	Redirect bool
}

// Certificate is one slot.
type Certificate struct {
	Name     string     // of the resource; empty: a filler that nobody trusts
	Chain    string     // PEM, the leaf first
	Key      api.Secret // PEM
	NotAfter time.Time
}

package attack

import (
	"context"
	"crypto/tls"
	"errors"
	"io"
	"net"
	"syscall"
)

// Kinds of errors: why a request got no whole answer. The set is closed.
const (
	KindTimeout  = "timeout"  // no whole answer within the timeout
	KindRefused  = "refused"  // nobody listens
	KindReset    = "reset"    // the connection was cut
	KindEOF      = "eof"      // the connection was closed before the answer's end
	KindDNS      = "dns"      // the host has no address
	KindTLS      = "tls"      // no trusted encryption
	KindCanceled = "canceled" // the run was stopped while the request was in flight
	KindDropped  = "dropped"  // never sent: too far behind the plan
	KindOther    = "other"

	// These are the generator's own: the request never reached the target.
	KindFiles   = "no-files"   // no file descriptor was left for a connection
	KindPorts   = "no-ports"   // no local port was left for a connection
	KindBuffers = "no-buffers" // no memory was left for a connection
)

// OwnFault says whether a kind of error says nothing about the target.
func OwnFault(kind string) bool {
	return kind == KindFiles || kind == KindPorts || kind == KindBuffers
}

// ownKind is empty for errors that are not the generator's own.
func ownKind(err error) string {
	switch {
	case errors.Is(err, syscall.EMFILE), errors.Is(err, syscall.ENFILE):
		return KindFiles
	case errors.Is(err, syscall.EADDRNOTAVAIL), errors.Is(err, syscall.EADDRINUSE):
		return KindPorts
	case errors.Is(err, syscall.ENOBUFS), errors.Is(err, syscall.ENOMEM):
		return KindBuffers
	}
	return ""
}

func kindOf(err error) string {
	var dns *net.DNSError
	var record tls.RecordHeaderError
	var certificate *tls.CertificateVerificationError
	var network net.Error
	switch {
	case err == nil:
		return ""
	case errors.Is(err, context.Canceled):
		return KindCanceled
	case ownKind(err) != "":
		return ownKind(err)
	case errors.Is(err, context.DeadlineExceeded):
		return KindTimeout
	case errors.As(err, &dns):
		return KindDNS
	case errors.Is(err, syscall.ECONNREFUSED):
		return KindRefused
	case errors.Is(err, syscall.ECONNRESET), errors.Is(err, syscall.EPIPE):
		return KindReset
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return KindEOF
	case errors.As(err, &record), errors.As(err, &certificate):
		return KindTLS
	case errors.As(err, &network) && network.Timeout():
		return KindTimeout
	}
	return KindOther
}

// Fail notes why there is no whole answer; half an answer is none.
func (r *Reply) Fail(err error) { r.Status, r.Fault, r.Text = 0, kindOf(err), err.Error() }

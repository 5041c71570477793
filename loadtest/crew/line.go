package crew

import (
	"bufio"
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/kongdao/kongdao/api"
)

// maxMessage bounds a line before anything is known about who sends it is small;
// results of a long run with many series take a few MB.
const (
	maxMessage  = 64 << 20
	maxGreeting = 4 << 10
)

var errTooLong = errors.New("message is too long")

// line is one side of a connection. Any goroutine may send, one receives.
type line struct {
	conn net.Conn
	in   *bufio.Reader

	mu  sync.Mutex
	out *json.Encoder
}

func newLine(c net.Conn) *line {
	return &line{conn: c, in: bufio.NewReaderSize(c, 64<<10), out: json.NewEncoder(c)}
}

// send waits for 2 s at most: a peer that does not read is as good as gone.
func (l *line) send(m message) error {
	l.mu.Lock()
	defer l.mu.Unlock()
	if err := l.conn.SetWriteDeadline(time.Now().Add(2 * time.Second)); err != nil {
		return err
	}
	return l.out.Encode(m)
}

// receive waits for a message. A refusal is an error.
func (l *line) receive(wait time.Duration, most int) (m message, err error) {
	if err := l.conn.SetReadDeadline(time.Now().Add(wait)); err != nil {
		return m, err
	}
	var whole []byte
	for {
		part, err := l.in.ReadSlice('\n')
		whole = append(whole, part...)
		if len(whole) > most {
			return m, errTooLong
		}
		if err == nil {
			break
		}
		if !errors.Is(err, bufio.ErrBufferFull) {
			return m, gone(err)
		}
	}
	if err := json.Unmarshal(whole, &m); err != nil {
		return m, fmt.Errorf("read message: %w", err)
	}
	if m.Refused != "" {
		return m, &RefusedError{Reason: m.Refused}
	}
	return m, nil
}

func gone(err error) error {
	var network net.Error
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("the connection was closed")
	case errors.Is(err, net.ErrClosed):
		return errors.New("it did not report in time")
	case errors.As(err, &network) && network.Timeout():
		return errors.New("it has fallen silent")
	}
	return err
}

// RefusedError is the other side's no.
type RefusedError struct{ Reason string }

func (e *RefusedError) Error() string { return e.Reason }

func newNonce() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// proof shows that who knows the token, to whoever chose one of the nonces.
func proof(token api.Secret, who, theirs, ours string) string {
	h := hmac.New(sha256.New, []byte(token.Reveal()))
	fmt.Fprintf(h, "kongdao load %s\n%s\n%s", who, theirs, ours)
	return hex.EncodeToString(h.Sum(nil))
}

func proves(given, want string) bool { return hmac.Equal([]byte(given), []byte(want)) }

package access

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
	"time"
)

// Scheme is what the header authorization of a signed request begins with.
const Scheme = "KongDao-HMAC-SHA256"

// Signature is what the header says.
type Signature struct {
	Consumer string
	Time     time.Time // whole seconds
	Nonce    string
	MAC      [sha256.Size]byte
}

// Message is what is signed.
type Message struct {
	Method string
	Host   string // with the port, if one is sent
	Path   string // with the query, if there is one
	Body   []byte
}

// Sign signs a message with a nonce of its own.
func Sign(consumer string, secret []byte, now time.Time, m Message) Signature {
	s := Signature{Consumer: consumer, Time: now.Truncate(time.Second), Nonce: rand.Text()}
	s.MAC = s.mac(secret, m)
	return s
}

// good compares in constant time.
func (s Signature) good(secret []byte, m Message) bool {
	want := s.mac(secret, m)
	return hmac.Equal(s.MAC[:], want[:])
}

func (s Signature) mac(secret []byte, m Message) (sum [sha256.Size]byte) {
	h := hmac.New(sha256.New, secret)
	h.Write([]byte(s.Text(m)))
	h.Sum(sum[:0])
	return sum
}

// Text is the string to sign.
func (s Signature) Text(m Message) string {
	body := sha256.Sum256(m.Body)
	return strings.Join([]string{
		Scheme, s.Consumer, strconv.FormatInt(s.Time.Unix(), 10), s.Nonce,
		m.Method, strings.ToLower(m.Host), m.Path, hex.EncodeToString(body[:]),
	}, "\n")
}

// Header is the value of the header authorization.
func (s Signature) Header() string {
	return fmt.Sprintf("%s consumer=%s, timestamp=%d, nonce=%s, signature=%x", Scheme, s.Consumer, s.Time.Unix(), s.Nonce, s.MAC)
}

var (
	consumerForm  = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]{0,61}[a-z0-9])?$`)
	timestampForm = regexp.MustCompile(`^[1-9][0-9]{0,10}$`)
	nonceForm     = regexp.MustCompile(`^[A-Za-z0-9._-]{16,64}$`)
	macForm       = regexp.MustCompile(`^[0-9a-f]{64}$`)
)

// Parse reads what Header writes; parts may come in any order, with or without
// spaces around them. The error says what is wrong and holds no part's value.
func Parse(header string) (s Signature, err error) {
	rest, ok := strings.CutPrefix(header, Scheme+" ")
	if !ok {
		return s, errors.New("the scheme is not " + Scheme)
	}
	forms := map[string]*regexp.Regexp{"consumer": consumerForm, "timestamp": timestampForm, "nonce": nonceForm, "signature": macForm}
	parts := map[string]string{}
	for part := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(part), "=")
		form := forms[name]
		switch _, again := parts[name]; {
		case form == nil:
			return s, errors.New("a part is not one of consumer, timestamp, nonce and signature")
		case again:
			return s, fmt.Errorf("%s is there twice", name)
		case !form.MatchString(value):
			return s, fmt.Errorf("%s is malformed", name)
		}
		parts[name] = value
	}
	for _, name := range []string{"consumer", "timestamp", "nonce", "signature"} {
		if parts[name] == "" {
			return s, fmt.Errorf("%s is missing", name)
		}
	}
	seconds, err := strconv.ParseInt(parts["timestamp"], 10, 64)
	if err != nil {
		return s, errors.New("timestamp is malformed")
	}
	s.Consumer, s.Time, s.Nonce = parts["consumer"], time.Unix(seconds, 0), parts["nonce"]
	_, err = hex.Decode(s.MAC[:], []byte(parts["signature"]))
	return s, err
}

package policy

import (
	"bytes"
	"fmt"
	"maps"
	"net/netip"
	"regexp"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/internal/calllog"
)

// masked stands for the value of a masked field.
var masked = []byte("***")

// Redactor hides in calls what is not to be stored. The zero value hides nothing
// but addresses. It is for one goroutine at a time.
type Redactor struct {
	passes []pass
	custom []custom

	ipv4, ipv6 netip.Prefix // network masks, as addresses
	whole      bool         // addresses are kept whole
	wholeLine  bool

	fields  []fieldRule
	query   []param
	anyRule bool // there is a rule for a field, a parameter or an attribute
	attrs   map[string]action
	tokens  bool // among the patterns

	clean clean

	out [2][]byte // scratch of one text, in turns
	mem []byte    // what the record's fields point to
}

// pass hides one built-in pattern.
type pass struct {
	mask    []byte
	find    func(v []byte, from int) (start, end int, ok bool)
	numbers bool // it needs a run of digits
}

type custom struct {
	re   *regexp.Regexp
	mask []byte
}

type action int

const (
	keep action = iota
	drop
	mask
)

type fieldRule struct {
	name string
	do   action
}

type param struct {
	name string
	do   action
}

// NewRedactor returns a Redactor for c.
func NewRedactor(c Redact) (*Redactor, error) {
	if err := c.Validate(); err != nil {
		return nil, err
	}
	d := &Redactor{attrs: map[string]action{}, whole: c.IPv4Bits == 32 && c.IPv6Bits == 128, wholeLine: c.wholeLine(), tokens: slices.Contains(c.Patterns, Token)}
	d.ipv4 = netip.PrefixFrom(netip.IPv4Unspecified(), c.IPv4Bits)
	d.ipv6 = netip.PrefixFrom(netip.IPv6Unspecified(), c.IPv6Bits)
	for _, p := range builtin() {
		if slices.Contains(c.Patterns, p.name) {
			d.passes = append(d.passes, p.passes...)
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Custom)) {
		re, err := regexp.Compile(c.Custom[name])
		if err != nil {
			return nil, fmt.Errorf("redact.custom.%s: %w", name, err)
		}
		d.custom = append(d.custom, custom{re, []byte("[" + name + "]")})
	}
	d.rules(c.Mask, mask)
	d.rules(c.Drop, drop) // after masks, so that what is in both is dropped
	return d, nil
}

func (d *Redactor) rules(names []string, do action) {
	for _, name := range names {
		d.anyRule = true
		prefix, rest, dotted := strings.Cut(name, ".")
		switch {
		case dotted && prefix == "query":
			d.query = append(d.query, param{rest, do})
		case dotted:
			d.attrs[rest] = do
		default:
			d.fields = append(d.fields, fieldRule{name, do})
		}
	}
}

// Record hides what is to be hidden in r. What it changes points into the
// Redactor and is valid until the next call.
func (d *Redactor) Record(r *calllog.Record) {
	d.mem = d.mem[:0]
	if !d.whole {
		d.truncate(&r.ClientIP)
	}
	if d.anyRule {
		d.byField(r)
	}
	r.Path = d.Text(r.Path)
	r.UserAgent = d.repeated(r.UserAgent)
	r.Host = d.repeated(r.Host)
	if len(r.Consumer) > 0 {
		r.Consumer = d.Text(r.Consumer)
	}
	if len(r.LoadTest) > 0 {
		r.LoadTest = d.Text(r.LoadTest)
	}
	for i := range r.Attrs {
		a := &r.Attrs[i]
		if a.Key == calllog.AttrLine && !d.wholeLine {
			a.Value = masked
			continue
		}
		a.Value = d.Text(a.Value)
	}
}

// truncate cuts an address to its network.
func (d *Redactor) truncate(ip *[16]byte) {
	a := netip.AddrFrom16(*ip)
	bits := d.ipv6.Bits()
	if a.Is4In6() {
		bits = 96 + d.ipv4.Bits()
		if d.ipv4.Bits() == 0 {
			bits = 0
		}
	}
	if p, err := a.Prefix(bits); err == nil {
		*ip = p.Addr().As16()
	}
}

func (d *Redactor) byField(r *calllog.Record) {
	for _, f := range d.fields {
		d.field(r, f)
	}
	if len(d.query) > 0 {
		r.Path = d.parameters(r.Path)
	}
	if len(d.attrs) == 0 {
		return
	}
	r.Attrs = slices.DeleteFunc(r.Attrs, func(a calllog.Attr) bool { return d.attrs[a.Key] == drop })
	for i, a := range r.Attrs {
		if d.attrs[a.Key] == mask {
			r.Attrs[i].Value = masked
		}
	}
}

func (d *Redactor) field(r *calllog.Record, f fieldRule) {
	switch f.name {
	case "client_ip":
		r.ClientIP = [16]byte{}
	case "request_id":
		r.RequestID = [16]byte{}
		r.Attrs = slices.DeleteFunc(r.Attrs, func(a calllog.Attr) bool { return a.Key == calllog.AttrRequestID })
	case "trace_id":
		r.TraceID = [16]byte{}
	case "user_agent":
		r.UserAgent = hide(r.UserAgent, f.do)
	case "host":
		r.Host = hide(r.Host, f.do)
	case "consumer":
		r.Consumer = hide(r.Consumer, f.do)
	case "load_test":
		r.LoadTest = hide(r.LoadTest, f.do)
	case "path":
		r.Path = hide(r.Path, f.do)
	case "query":
		r.Path = d.wholeQuery(r.Path, f.do)
	}
}

func hide(v []byte, do action) []byte {
	if len(v) == 0 || do == drop {
		return nil
	}
	return masked
}

func (d *Redactor) wholeQuery(path []byte, do action) []byte {
	at := bytes.IndexByte(path, '?')
	switch {
	case at < 0:
		return path
	case do == drop:
		return path[:at]
	}
	return d.kept(func(out []byte) []byte { return append(append(out, path[:at+1]...), masked...) })
}

// kept gives a new text that lives as long as the record.
func (d *Redactor) kept(write func([]byte) []byte) []byte {
	start := len(d.mem)
	d.mem = write(d.mem)
	return d.mem[start:len(d.mem):len(d.mem)]
}

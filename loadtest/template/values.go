package template

import (
	"encoding/json"
	"fmt"
	"math/rand/v2"
	"net/url"
	"strconv"
	"strings"
	"text/template/parse"
	"time"
)

// Values are what one iteration fills in. One goroutine uses them at a time.
type Values struct {
	Run    string
	Seq    uint64
	Now    time.Time
	Rows   [][]string // of each data file: the fields of Columns
	Vars   []string
	random rand.PCG
}

// Seed makes what is random a function of the seed and Seq.
func (v *Values) Seed(seed uint64) { v.random.Seed(seed, v.Seq^0x6b6f6e6764616f) }

// IntN is a random number from 0 to n-1; n must be above 0.
func (v *Values) IntN(n int64) int64 { return rand.New(&v.random).Int64N(n) }

var escapes = map[string]func(string) string{
	"query": url.QueryEscape,
	"path":  url.PathEscape,
	"json":  quoted,
}

// quoted is a JSON string with its quotes.
func quoted(text string) string {
	b, err := json.Marshal(text)
	if err != nil { // not for a string
		return `""`
	}
	return string(b)
}

// functions compile a call.
var functions = map[string]func(s *Scope, name string, args []parse.Node) (part, error){
	"seq":        plain(func(dst []byte, v *Values) []byte { return strconv.AppendUint(dst, v.Seq, 10) }),
	"run":        plain(func(dst []byte, v *Values) []byte { return append(dst, v.Run...) }),
	"uuid":       plain(uuid),
	"now":        plain(func(dst []byte, v *Values) []byte { return v.Now.UTC().AppendFormat(dst, time.RFC3339Nano) }),
	"unix":       plain(func(dst []byte, v *Values) []byte { return strconv.AppendInt(dst, v.Now.Unix(), 10) }),
	"unixMilli":  plain(func(dst []byte, v *Values) []byte { return strconv.AppendInt(dst, v.Now.UnixMilli(), 10) }),
	"randInt":    randInt,
	"randString": randString,
	"data":       data,
}

func names() string {
	return "seq, uuid, randInt, randString, now, unix, unixMilli, run, data"
}

func plain(p part) func(*Scope, string, []parse.Node) (part, error) {
	return func(_ *Scope, name string, args []parse.Node) (part, error) {
		if len(args) > 0 {
			return nil, fmt.Errorf("%s takes no values, want {{%s}}", name, name)
		}
		return p, nil
	}
}

func uuid(dst []byte, v *Values) []byte {
	const hex = "0123456789abcdef"
	var b [16]byte
	for i := range 2 {
		for j, x := 0, v.random.Uint64(); j < 8; j, x = j+1, x>>8 {
			b[8*i+j] = byte(x)
		}
	}
	b[6], b[8] = b[6]&0x0f|0x40, b[8]&0x3f|0x80 // version 4, variant 1
	for i, x := range b {
		if i == 4 || i == 6 || i == 8 || i == 10 {
			dst = append(dst, '-')
		}
		dst = append(dst, hex[x>>4], hex[x&15])
	}
	return dst
}

func randInt(_ *Scope, _ string, args []parse.Node) (part, error) {
	low, ok1 := number(args, 0)
	high, ok2 := number(args, 1)
	if len(args) != 2 || !ok1 || !ok2 || high < low || high-low < 0 || high-low+1 <= 0 {
		return nil, fmt.Errorf("randInt takes the lowest and the highest number, such as {{randInt 1 100}}")
	}
	return func(dst []byte, v *Values) []byte { return strconv.AppendInt(dst, low+v.IntN(high-low+1), 10) }, nil
}

const maxRandString = 1 << 20

func randString(_ *Scope, _ string, args []parse.Node) (part, error) {
	const letters = "abcdefghijklmnopqrstuvwxyz0123456789"
	n, ok := number(args, 0)
	if len(args) != 1 || !ok || n < 1 || n > maxRandString {
		return nil, fmt.Errorf("randString takes a length from 1 to %d, such as {{randString 8}}", maxRandString)
	}
	return func(dst []byte, v *Values) []byte {
		r := rand.New(&v.random)
		for range n {
			dst = append(dst, letters[r.IntN(len(letters))])
		}
		return dst
	}, nil
}

// data is {{data "users" "user-id"}}, for columns that are no identifiers.
func data(s *Scope, _ string, args []parse.Node) (part, error) {
	feed, ok1 := text(args, 0)
	column, ok2 := text(args, 1)
	if len(args) != 2 || !ok1 || !ok2 || strings.TrimSpace(column) == "" {
		return nil, fmt.Errorf(`data takes the names of a data file and of a column, such as {{data "users" "user-id"}}`)
	}
	return s.column(feed, column)
}

func number(args []parse.Node, i int) (int64, bool) {
	if i >= len(args) {
		return 0, false
	}
	if n, ok := args[i].(*parse.NumberNode); ok && n.IsInt {
		return n.Int64, true
	}
	return 0, false
}

func text(args []parse.Node, i int) (string, bool) {
	if i >= len(args) {
		return "", false
	}
	if n, ok := args[i].(*parse.StringNode); ok {
		return n.Text, true
	}
	return "", false
}

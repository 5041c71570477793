package policy

import (
	"bytes"
	"math/bits"
)

// secretParts are what the name of a parameter holds whose value is a secret.
var secretParts = [...]string{
	"token", "passw", "pwd", "secret", "apikey", "api_key", "api-key", "accesskey", "access_key", "access-key",
	"signature", "credential", "session", "private_key",
}

// mayBegin tells of which pairs of bytes, in lower case, a part begins with one:
// few names have one by chance.
var mayBegin = func() (pairs [1 << 10]bool) {
	for _, p := range secretParts {
		pairs[pairOf(p[0], p[1])] = true
	}
	return pairs
}()

func pairOf(a, b byte) uint16 { return uint16(a&31)<<5 | uint16(b&31) }

// findParameter finds the value of a parameter whose name says that it is a
// secret, in a query or anywhere else: name=value, the sign also as %3D.
func findParameter(v []byte, from int) (start, end int, ok bool) {
	for {
		at, behind := equals(v, from)
		if at < 0 {
			return 0, 0, false
		}
		if secretName(v[:at]) && !isMask(v[behind:]) {
			if end = valueEnd(v, behind, behind-at > 1); end > behind {
				return behind, end, true
			}
		}
		from = behind
	}
}

// equals finds the next = or %3D; at is -1 when there is none.
func equals(v []byte, from int) (at, behind int) {
	at = bytes.IndexByte(v[from:], '=')
	last := len(v)
	if at >= 0 {
		at, last = from+at, from+at
	}
	for i := from; ; i++ {
		next := bytes.IndexByte(v[i:last], '%')
		if next < 0 {
			return at, at + 1
		}
		if i += next; i+2 < len(v) && v[i+1] == '3' && v[i+2]|0x20 == 'd' {
			return i, i + 3
		}
	}
}

// valueEnd is where the value that begins at i ends. One whose = was escaped ends
// at an escaped & too.
func valueEnd(v []byte, i int, isEscaped bool) int {
	for ; i < len(v); i++ {
		switch v[i] {
		case '&', ';', '#', ' ', ',', '"', '\'', ')', '\t', '\n', 0x1f:
			return i
		case '%':
			if isEscaped && i+2 < len(v) && v[i+1] == '2' && v[i+2] == '6' {
				return i
			}
		}
	}
	return i
}

// secretName tells whether v ends with the name of a secret parameter, also as
// the last part of user[name].
func secretName(v []byte) bool {
	const longest = 64
	if n := len(v); n > 0 && v[n-1] == ']' {
		v = v[:n-1]
	}
	start := len(v)
	for start > 0 && len(v)-start < longest && (classes[v[start-1]]&(digit|letter|dash) != 0 || v[start-1] == '.') {
		start--
	}
	start += min(escaped(v, start), len(v)-start)
	var buf [longest]byte
	name, before := buf[:len(v)-start], byte(0)
	var candidates uint64 // bit i: a part may begin at i-1
	for i, b := range v[start:] {
		if classes[b]&upper != 0 {
			b |= 0x20
		}
		name[i] = b
		if mayBegin[pairOf(before, b)] {
			candidates |= 1 << i
		}
		before = b
	}
	switch string(name) {
	case "sig", "sign", "auth", "authorization", "otp":
		return true
	}
	for ; candidates != 0; candidates &= candidates - 1 {
		if i := bits.TrailingZeros64(candidates); i > 0 && beginsWithPart(name[i-1:]) {
			return true
		}
	}
	return false
}

func beginsWithPart(name []byte) bool {
	for _, part := range secretParts {
		if part[0] == name[0] && len(name) >= len(part) && string(name[:len(part)]) == part {
			return true
		}
	}
	return false
}

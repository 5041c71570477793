package policy

import "bytes"

// findEmail finds an address such as name@example.com, the @ also as %40.
func findEmail(v []byte, from int) (start, end int, ok bool) {
	for at := from; at < len(v); {
		i := bytes.IndexAny(v[at:], "@%")
		if i < 0 {
			return 0, 0, false
		}
		at += i
		behind := at + 1
		if v[at] == '%' {
			if at+2 >= len(v) || v[at+1] != '4' || v[at+2] != '0' {
				at++
				continue
			}
			behind = at + 3
		}
		start, end = localStart(v, at, from), domainEnd(v, behind)
		if start < at && end > behind {
			return start, end, true
		}
		at = behind
	}
	return 0, 0, false
}

// localStart is where the part before an @ begins.
func localStart(v []byte, at, from int) int {
	const longest = 64
	start := at
	for start > from && at-start < longest && (classes[v[start-1]]&(digit|letter|dash) != 0 || v[start-1] == '.' || v[start-1] == '+') {
		start--
	}
	return min(at, start+escaped(v, start))
}

// domainEnd is where the domain that begins at i ends; i when it is none: labels
// with dots between, and letters last.
func domainEnd(v []byte, i int) int {
	end, dot := i, -1
	for ; end < len(v) && (classes[v[end]]&(digit|letter) != 0 || v[end] == '-' || v[end] == '.'); end++ {
		if v[end] == '.' {
			dot = end
		}
	}
	if dot == end-1 { // a full stop behind the address
		end = max(dot, i)
		dot = i + bytes.LastIndexByte(v[i:end], '.')
	}
	if dot <= i || end-dot < 3 || !all(v[dot+1:end], letter) {
		return i
	}
	return end
}

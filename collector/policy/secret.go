package policy

import "bytes"

// findJWT finds a JSON web token: two or three parts with dots between, of which
// the first is a JSON object, hence begins with eyJ.
func findJWT(v []byte, from int) (start, end int, ok bool) {
	const least = 8 // bytes of a part
	begin := from
	for from < len(v) {
		at := bytes.IndexByte(v[from:], 'J') // rarer than the e
		if at < 0 {
			return 0, 0, false
		}
		start, from = from+at-2, from+at+1
		if start < begin || v[start] != 'e' || v[start+1] != 'y' {
			continue
		}
		first := span(v, start)
		from = first
		if first-start < least || first == len(v) || v[first] != '.' {
			continue
		}
		second := span(v, first+1)
		if second-first-1 < least {
			continue
		}
		if second < len(v) && v[second] == '.' {
			second = span(v, second+1)
		}
		return start, second, true
	}
	return 0, 0, false
}

// span is where the letters, digits and dashes from i end.
func span(v []byte, i int) int {
	for i < len(v) && classes[v[i]]&(digit|letter|dash) != 0 {
		i++
	}
	return i
}

// findRandom finds long text that looks random: of letters, digits, dashes and
// base64's padding, at least 32 bytes of it. UUIDs are identifiers, not secrets,
// and words with dashes between are titles.
func findRandom(v []byte, from int) (start, end int, ok bool) {
	const least = 32
	for {
		s, e, ok := run(v, from, word, least)
		if !ok {
			return 0, 0, false
		}
		if random(v[s:e]) {
			return s, e, true
		}
		from = e
	}
}

func random(v []byte) bool {
	const piece = 20 // bytes without a dash that tell enough
	if uuid(v) {
		return false
	}
	for len(v) > 0 {
		n := 0
		for n < len(v) && classes[v[n]]&(digit|letter) != 0 {
			n++
		}
		if n >= piece && mixed(v[:n]) {
			return true
		}
		v = v[min(n+1, len(v)):]
	}
	return false
}

// mixed tells random letters and digits from words and numbers, by how often
// their kind changes: of random text of both cases 62 % of the neighbours differ,
// of hex digits 47 %, of words in camelCase about a third.
func mixed(v []byte) bool {
	const kinds = digit | lower | upper
	var seen class
	changes, digits, hex := 0, 0, true
	for i, b := range v {
		k := classes[b] & kinds
		seen |= k
		if i > 0 && k != classes[v[i-1]]&kinds {
			changes++
		}
		if k == digit {
			digits++
		}
		hex = hex && classes[b]&(digit|hexLetter) != 0
	}
	switch {
	case seen == digit:
		return false
	case hex && len(v) >= 32:
		return digits > 0
	case seen&lower != 0 && seen&upper != 0:
		return digits > 0 && changes*5 >= len(v)*2
	}
	return digits >= 3 && changes*4 >= len(v)
}

// uuid tells whether v is a UUID with its dashes.
func uuid(v []byte) bool {
	return len(v) == 36 && v[8] == '-' && v[13] == '-' && v[18] == '-' && v[23] == '-' &&
		all(v[:8], digit|hexLetter) && all(v[9:13], digit|hexLetter) && all(v[14:18], digit|hexLetter) &&
		all(v[19:23], digit|hexLetter) && all(v[24:], digit|hexLetter)
}

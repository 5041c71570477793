package policy

// class is a set of kinds of bytes.
type class uint8

const (
	digit     class = 1 << iota
	lower           // a-z
	upper           // A-Z
	hexLetter       // a-f, A-F
	dash            // - and _
	padding         // + and =
	gap             // what may stand between the groups of a phone number: dash and space

	letter = lower | upper
	word   = digit | letter | dash | padding // what long secrets are made of
)

// classes are the classes of each byte.
var classes = classOf()

func classOf() (c [256]class) {
	for b := range c {
		switch {
		case '0' <= b && b <= '9':
			c[b] = digit
		case 'a' <= b && b <= 'z':
			c[b] = lower
		case 'A' <= b && b <= 'Z':
			c[b] = upper
		}
		if 'a' <= b && b <= 'f' || 'A' <= b && b <= 'F' {
			c[b] |= hexLetter
		}
	}
	c['-'], c['_'], c['+'], c['='], c[' '] = dash|gap, dash, padding, padding, gap
	return c
}

// run finds the next run of at least so many bytes of some classes, whole. It
// looks at one byte in least where there is none.
func run(v []byte, from int, of class, least int) (start, end int, ok bool) {
	for i := from + least - 1; i < len(v); {
		if classes[v[i]]&of == 0 {
			i += least
			continue
		}
		start, end = i, i+1
		for start > from && classes[v[start-1]]&of != 0 {
			start--
		}
		for end < len(v) && classes[v[end]]&of != 0 {
			end++
		}
		if end-start >= least {
			return start, end, true
		}
		i = end + least
	}
	return 0, 0, false
}

// is tells whether the byte at i is there and of a class.
func is(v []byte, i int, of class) bool {
	return i >= 0 && i < len(v) && classes[v[i]]&of != 0
}

// all tells whether all of v is of a class.
func all(v []byte, of class) bool {
	for _, b := range v {
		if classes[b]&of == 0 {
			return false
		}
	}
	return true
}

// escaped is how many of the bytes from i belong to a percent escape before: in
// %2013812345678 the number begins behind the 20.
func escaped(v []byte, i int) int {
	switch {
	case i >= 1 && v[i-1] == '%' && is(v, i, digit|hexLetter) && is(v, i+1, digit|hexLetter):
		return 2
	case i >= 2 && v[i-2] == '%' && is(v, i-1, digit|hexLetter) && is(v, i, digit|hexLetter):
		return 1
	}
	return 0
}

// numberAt tells whether a number may begin at i: no digit is before it, but for
// those of an escape.
func numberAt(v []byte, i int) bool {
	if !is(v, i-1, digit) {
		return true
	}
	for back := 1; back <= 2; back++ {
		if i-back >= 0 && escaped(v, i-back) == back {
			return true
		}
	}
	return false
}

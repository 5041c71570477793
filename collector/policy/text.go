package policy

import "bytes"

// rounds bounds how often a text is gone over: what hides one thing can bring
// another one to light, but hardly twice.
const rounds = 4

// Text is v without what the patterns match: v itself when that is nothing, else
// a text that is valid until the next Record. Applied to its own result it
// changes nothing, as long as no custom pattern looks at masks.
func (d *Redactor) Text(v []byte) []byte {
	if len(v) < shortest && len(d.custom) == 0 {
		return v
	}
	in, turn := v, 0
	for range rounds {
		before := turn
		_, _, numbers := run(in, 0, digit|gap, 11) // as long as the shortest number that a pattern matches
		for _, p := range d.passes {
			if p.numbers && !numbers {
				continue
			}
			if start, end, ok := p.find(in, 0); ok {
				in = d.replace(turn, in, p, start, end)
				turn++
			}
		}
		for _, c := range d.custom {
			if c.re.Match(in) {
				d.out[turn%2] = append(d.out[turn%2][:0], c.re.ReplaceAllLiteral(in, c.mask)...)
				in = d.out[turn%2]
				turn++
			}
		}
		if turn == before {
			break
		}
	}
	if turn == 0 {
		return v
	}
	return d.kept(func(out []byte) []byte { return append(out, in...) })
}

// replace hides everything that p finds, beginning with a first match.
func (d *Redactor) replace(turn int, in []byte, p pass, start, end int) []byte {
	out, from := d.out[turn%2][:0], 0
	for ok := true; ok; start, end, ok = p.find(in, from) {
		out = append(append(out, in[from:start]...), p.mask...)
		from = end
	}
	d.out[turn%2] = append(out, in[from:]...)
	return d.out[turn%2]
}

// shortest is the length of the shortest text that a built-in pattern matches:
// a=1 for a secret parameter is longer, sig=x.
const shortest = 5

// named are built-in patterns by name, in the order in which they are applied.
type named struct {
	name   string
	passes []pass
}

func builtin() []named {
	token, phone, idcard, email := []byte("[token]"), []byte("[phone]"), []byte("[idcard]"), []byte("[email]")
	return []named{
		{Token, []pass{{token, findJWT, false}, {token, findParameter, false}, {token, findRandom, false}}},
		{IDCard, []pass{{idcard, findIDCard, true}}},
		{Phone, []pass{{phone, findPhone, true}}},
		{Email, []pass{{email, findEmail, false}}},
	}
}

// isMask tells whether v begins with a mask of a secret.
func isMask(v []byte) bool { return bytes.HasPrefix(v, []byte("[token]")) }

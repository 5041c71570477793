package policy

var tokenMask = []byte("[" + Token + "]")

// Begin starts a record that is no call, for Text and Attr: what they gave before is
// not valid any more.
func (d *Redactor) Begin() { d.mem = d.mem[:0] }

// Attr is the value of an attribute without what is to be hidden, by the rules
// attrs.NAME, by the patterns, and, where tokens are hidden, by a name such as
// password. It is valid until the next Begin or Record. Without keep the attribute
// is to be dropped.
func (d *Redactor) Attr(key string, value []byte) (_ []byte, keep bool) {
	switch d.attrs[key] {
	case drop:
		return nil, false
	case mask:
		return masked, true
	}
	if d.tokens && len(value) > 0 && secretName([]byte(key)) {
		return tokenMask, true
	}
	return d.Text(value), true
}

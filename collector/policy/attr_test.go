package policy

import "testing"

func TestAttr(t *testing.T) {
	d := redactor(t, func(c *Redact) { c.Drop, c.Mask = []string{"attrs.user"}, []string{"attrs.city"} })
	d.Begin()
	for _, c := range []struct {
		key, value, want string
		keep             bool
	}{
		{"user", "zhang", "", false},
		{"city", "Beijing", "***", true},
		{"db.password", "x", "[token]", true},
		{"password", "", "", true},
		{"note", "call 13812345678", "call [phone]", true},
		{"note", "nothing to hide", "nothing to hide", true},
	} {
		if got, keep := d.Attr(c.key, []byte(c.value)); string(got) != c.want || keep != c.keep {
			t.Errorf("%s=%s becomes %q, %t, want %q, %t", c.key, c.value, got, keep, c.want, c.keep)
		}
	}
	plain := redactor(t, func(c *Redact) { c.Patterns = nil })
	if got, _ := plain.Attr("password", []byte("x")); string(got) != "x" {
		t.Errorf("without the pattern a password becomes %q", got)
	}
}

// TestTextsStay: what was given since Begin stays valid.
func TestTextsStay(t *testing.T) {
	d := redactor(t, nil)
	d.Begin()
	first := d.Text([]byte("first 13812345678"))
	for range 1000 {
		d.Text([]byte("another 13912345678 and more"))
	}
	if string(first) != "first [phone]" {
		t.Errorf("became %q", first)
	}
}

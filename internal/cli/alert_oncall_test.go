package cli

import (
	"encoding/json"
	"strings"
	"testing"
)

func TestOnCallIsReadable(t *testing.T) {
	var a onCallAnswer
	const answer = `{"turns":[
		{"calendar":"feed","teams":["feed","search"],"person":"li-na","name":"李娜","from":"2026-11-02T10:00:00+08:00","until":"2026-11-09T10:00:00+08:00"},
		{"calendar":"feed","teams":["feed","search"],"person":"wang-wu","name":"wang-wu","from":"2026-11-09T10:00:00+08:00","until":"2026-11-10T10:00:00+08:00","override":true}]}`
	if err := json.Unmarshal([]byte(answer), &a); err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	a.text(&b)
	for _, want := range []string{"feed,search", "li-na 李娜", "Mon 2026-11-02 10:00 +0800", "wang-wu (override)"} {
		if !strings.Contains(b.String(), want) {
			t.Errorf("lacks %q:\n%s", want, b.String())
		}
	}
}

func TestOnCallQuery(t *testing.T) {
	q, err := onCallQuery([]string{"feed"}, "2026-12-24T18:00:00+08:00", 2)
	if err != nil || q.Encode() != "calendar=feed&from=2026-12-24T18%3A00%3A00%2B08%3A00&until=2026-12-26T18%3A00%3A00%2B08%3A00" {
		t.Errorf("%s, %v", q.Encode(), err)
	}
	if q, err := onCallQuery(nil, "", 0); err != nil || len(q) != 0 {
		t.Errorf("%s, %v", q.Encode(), err)
	}
	for _, c := range []struct {
		at   string
		days int
	}{{"tomorrow", 0}, {"", -1}, {"", 367}} {
		if _, err := onCallQuery(nil, c.at, c.days); err == nil {
			t.Errorf("%+v is taken", c)
		}
	}
}

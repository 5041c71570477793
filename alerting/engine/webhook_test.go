package engine_test

import (
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/go-openapi/strfmt"
	"github.com/prometheus/alertmanager/api/v2/client/silence"
	"github.com/prometheus/alertmanager/api/v2/models"
)

const groupBody = `{"version":"4","groupKey":"{}:{alertname=\"A\"}","truncatedAlerts":0,"status":"firing","receiver":"x","groupLabels":{"alertname":"A"},
"commonLabels":{},"commonAnnotations":{},"externalURL":"http://am","alerts":[
{"status":"firing","labels":{"alertname":"A","zone":"zb-a"},"annotations":{"summary":"it broke"},"startsAt":"2026-01-02T03:04:05Z","endsAt":"0001-01-01T00:00:00Z","generatorURL":"","fingerprint":"x"},
{"status":"resolved","labels":{"alertname":"A","zone":"zb-b"},"annotations":{},"startsAt":"2026-01-02T03:04:05Z","endsAt":"2026-01-02T03:05:05Z"}]}`

func (r *running) hook(t *testing.T, name, kind, body string) (*http.Response, string) {
	t.Helper()
	resp, err := noKeepAlive.Post("http://"+r.Addr()+"/webhook/"+url.PathEscape(name), kind, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	return resp, string(text)
}

func TestWebhook(t *testing.T) {
	r := start(t, config(t.TempDir()))
	if resp, text := r.hook(t, "oncall", "application/json; charset=utf-8", groupBody); resp.StatusCode != http.StatusOK {
		t.Fatalf("%s: %s", resp.Status, text)
	}
	got := r.next(t) // in the outbox before the answer
	if got.robot != "oncall" || len(got.group.Alerts) != 2 || got.group.Name() != "A" || !got.group.Firing() || got.group.Alerts[1].Firing() {
		t.Errorf("told %+v", got)
	}
	if a := got.group.Alerts[0]; a.Annotations["summary"] != "it broke" || a.Labels["zone"] != "zb-a" || a.StartsAt.Year() != 2026 {
		t.Errorf("alert %+v", a)
	}
	if resp, _ := r.hook(t, "dingtalk", "application/json", groupBody); resp.StatusCode != http.StatusOK {
		t.Errorf("by a receiver's name: %s", resp.Status)
	}
	if other := r.next(t); other.robot != "oncall" || other.group.ID() == got.group.ID() {
		t.Errorf("told %+v", other)
	}
	r.mu.Lock()
	r.fail = 1
	r.mu.Unlock()
	if resp, _ := r.hook(t, "oncall", "application/json", groupBody); resp.StatusCode != http.StatusServiceUnavailable || resp.Header.Get("Retry-After") == "" {
		t.Errorf("when the outbox takes nothing: %s, Retry-After %q", resp.Status, resp.Header.Get("Retry-After"))
	}
}

func TestWebhookRefuses(t *testing.T) {
	r := start(t, config(t.TempDir()))
	replaced := func(old, by string) string { return strings.ReplaceAll(groupBody, old, by) }
	cases := []struct {
		what, robot, kind, body string
		status                  int
		want                    string
	}{
		{"an unknown name", "nobody", "application/json", groupBody, 404, "nobody"},
		{"a receiver that drops", "null", "application/json", groupBody, 404, "null"},
		{"a form", "oncall", "application/x-www-form-urlencoded", groupBody, 415, "application/json"},
		{"too much", "oncall", "application/json", `{"x":"` + strings.Repeat("a", 9<<20) + `"}`, 413, "longer"},
		{"no JSON", "oncall", "application/json", "version=4", 400, "not a webhook message"},
		{"two messages", "oncall", "application/json", groupBody + groupBody, 400, "not a webhook message"},
		{"another version", "oncall", "application/json", replaced(`"version":"4"`, `"version":"3"`), 400, "version"},
		{"no key", "oncall", "application/json", replaced(`groupKey`, `key`), 400, "groupKey"},
		{"no status", "oncall", "application/json", replaced(`"firing"`, `"on"`), 400, "status"},
		{"an alert without status", "oncall", "application/json", replaced(`"resolved"`, `"gone"`), 400, "alerts[1].status"},
		{"no alerts", "oncall", "application/json", replaced(`"alerts"`, `"alarms"`), 400, "alerts"},
		{"no labels", "oncall", "application/json", replaced(`"labels"`, `"tags"`), 400, "alerts[0].labels"},
		{"an empty name", "oncall", "application/json", replaced(`"zone"`, `""`), 400, "alerts[0].labels"},
		{"a label that is a number", "oncall", "application/json", replaced(`"zb-b"`, `5`), 400, "labels"},
		{"no time", "oncall", "application/json", replaced(`"startsAt"`, `"since"`), 400, "alerts[0].startsAt"},
		{"not UTF-8", "oncall", "application/json", replaced("it broke", "\xff"), 400, "UTF-8"},
	}
	for _, c := range cases {
		resp, text := r.hook(t, c.robot, c.kind, c.body)
		if resp.StatusCode != c.status || !strings.Contains(text, c.want) {
			t.Errorf("%s: %s %s, want %d with %q", c.what, resp.Status, text, c.status, c.want)
		}
	}
	r.quiet(t, "Probe")
}

func TestWebhookObeysSilences(t *testing.T) {
	r := start(t, config(t.TempDir()))
	name, value, by, comment, yes, no := "zone", "zb-a", "ann", "known", true, false
	begin, end := strfmt.DateTime(time.Now()), strfmt.DateTime(time.Now().Add(time.Hour))
	for _, v := range []string{value, "zb-b"} {
		params := silence.NewPostSilencesParams().WithSilence(&models.PostableSilence{Silence: models.Silence{
			Matchers: models.Matchers{{Name: &name, Value: &v, IsEqual: &yes, IsRegex: &no}},
			StartsAt: &begin, EndsAt: &end, CreatedBy: &by, Comment: &comment,
		}})
		if _, err := r.api().Silence.PostSilences(params); err != nil {
			t.Fatal(err)
		}
		resp, text := r.hook(t, "oncall", "application/json", groupBody)
		if resp.StatusCode != http.StatusOK {
			t.Errorf("%s: %s", resp.Status, text)
		}
		if v == value { // the other zone is told
			if g := r.next(t); len(g.group.Alerts) != 1 || g.group.Alerts[0].Labels["zone"] != "zb-b" {
				t.Errorf("told %+v", g)
			}
		} else if !strings.Contains(text, "silenced") {
			t.Errorf("answer %q", text)
		}
	}
	r.quiet(t, "Probe")
}

// Another Alertmanager's own client sends to us.
func TestReceiverBehindAnAlertmanager(t *testing.T) {
	r := start(t, config(t.TempDir()))
	cfg := config(t.TempDir())
	cfg.Alertmanager = strings.Replace(quick, "{name: dingtalk}", fmt.Sprintf("{name: dingtalk, webhook_configs: [{url: 'http://%s/webhook/oncall'}]}", r.Addr()), 1)
	cfg.Robots = nil
	first := start(t, cfg)
	first.put(t, "A", "zb-a", time.Hour)
	if g := r.next(t); g.group.Name() != "A" || g.group.Labels["zone"] != "zb-a" || !g.group.Firing() {
		t.Errorf("told %+v", g)
	}
	first.put(t, "A", "zb-a", 0)
	if g := r.next(t); g.group.Name() != "A" || g.group.Firing() {
		t.Errorf("told %+v", g)
	}
}

package dingtalk

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

var update = flag.Bool("update", false, "rewrite golden files")

var (
	began = time.Date(2026, 11, 23, 7, 4, 5, 0, time.UTC)
	now   = began.Add(2*time.Minute + 7*time.Second)
)

func zoneDown(ended time.Time) Group {
	return Group{
		Key: `{}:{alertname="ZoneDown", zone="zb-b"}`, Sequence: 17,
		Labels: map[string]string{"alertname": "ZoneDown", "zone": "zb-b"},
		Alerts: []Alert{{
			Labels: map[string]string{"alertname": "ZoneDown", "zone": "zb-b", "severity": "page"},
			Annotations: map[string]string{
				"summary":    "Zone zb-b is down: none of its pods is ready",
				"summary_zh": "可用区 zb-b 不可用: 没有就绪的实例", "description": "0 of 8 pods ready",
				"description_zh": "共 8 个实例, 就绪 0 个", "runbook": "docs/runbooks/zone-down.md",
				"dashboard": "https://grafana.example.com/d/kongdao?var-zone=zb-b", "logs": "https://kongdao.example.com/logs?zone=zb-b",
			},
			StartsAt: began, EndsAt: ended, Fingerprint: "a1",
		}},
	}
}

func podsDown(n int) Group {
	g := Group{Key: `{}:{alertname="PodsDown"}`, Sequence: 3, Labels: map[string]string{"alertname": "PodsDown"}}
	for i := range n {
		a := Alert{
			Labels: map[string]string{"alertname": "PodsDown", "severity": "ticket", "zone": "zb-a", "function": fmt.Sprintf("fn-%02d", i)},
			Annotations: map[string]string{
				"summary_zh": fmt.Sprintf("fn-%02d 在可用区 zb-a 缺少实例", i), "summary": fmt.Sprintf("fn-%02d lacks pods in zone zb-a", i),
				"description_zh": "4 个实例中 1 个未就绪", "description": "1 of 4 pods not ready",
			},
			StartsAt: began.Add(-26 * time.Hour), Fingerprint: fmt.Sprint(i),
		}
		if i%3 == 2 {
			a.EndsAt = now
		}
		g.Alerts = append(g.Alerts, a)
	}
	return g
}

// slow is a page about a function, with all that a message can tell.
func slow(ended time.Time) Group {
	return Group{
		Key: `{}:{alertname="LatencyHigh", function="checkout"}`, Sequence: 21,
		Labels: map[string]string{"alertname": "LatencyHigh", "function": "checkout"},
		Alerts: []Alert{{
			Labels: map[string]string{"alertname": "LatencyHigh", "function": "checkout", "severity": "page", "team": "payments", "revision": "v3"},
			Annotations: map[string]string{
				"summary": "checkout answers slowly: p99 is above its objective", "summary_zh": "checkout 响应变慢: p99 超出目标",
				"description": "p99 812 ms, objective 300 ms", "description_zh": "p99 812 毫秒, 目标 300 毫秒",
				"runbook": "https://kongdao.example.com/docs/runbooks/latency-high.md", "dashboard": "https://grafana.example.com/d/kongdao?var-function=checkout",
				"logs": "https://kongdao.example.com/logs?function=checkout",
			},
			StartsAt: began, EndsAt: ended, Fingerprint: "c1",
		}},
	}
}

// full is r with everything that others know.
func full(r Renderer) Renderer {
	r.Audience = func(g Group, _ time.Time) Audience {
		if g.Alerts[0].Labels["team"] == "" {
			return Audience{}
		}
		return Audience{Team: "payments", People: []Person{{Name: "zhang3", Mobile: "13800000000"}, {Name: "li4", Mobile: "+852-12345678"}, {Name: "wang5", Mobile: "1", UserID: "wang5-id"}}}
	}
	r.Released = func(function string, _ time.Time) (Release, bool) {
		return Release{Revision: function + "-v3", At: began.Add(-10 * time.Minute), By: "zhang3"}, true
	}
	r.Chart = func(g Group, _ time.Time) string {
		if g.Name() != "LatencyHigh" {
			return ""
		}
		return "https://kongdao.example.com/api/v1/alerts/chart.png?sig=abc"
	}
	claim, silence := "认领", "静默 30 分钟"
	if r.Lang == English {
		claim, silence = "Claim", "Silence 30 min"
	}
	r.Links = func(g Group) []Link {
		if !g.Firing() {
			return nil
		}
		return []Link{{claim, "https://kongdao.example.com/a/1?sig=x"}, {silence, "https://kongdao.example.com/a/2?sig=y"}, {"[x](y)", "javascript:alert(1)"}}
	}
	return r
}

// The command that people paste holds nothing but names of resources.
func TestCommandIsSafe(t *testing.T) {
	for function, want := range map[string]string{"feed": "kongdao calls errors feed --zone zb-a --since 3h", "": "", "x; reboot": "", "$(reboot)": "", "-rf": "", "a b": ""} {
		if got := command(map[string]string{"function": function, "zone": "zb-a"}, 70*time.Minute); got != want {
			t.Errorf("of %q: %q, want %q", function, got, want)
		}
	}
	if got := command(map[string]string{"function": "feed", "zone": "`x`"}, time.Minute); got != "kongdao calls errors feed" {
		t.Error(got)
	}
}

// An alert that names no dashboard gets the common one.
func TestDashboardOfAlertsWithoutOne(t *testing.T) {
	r := Renderer{Lang: English, Dashboard: func(l map[string]string, from, to time.Time) string {
		return "https://g/" + l["zone"] + "/" + from.Format("15:04") + "-" + to.Format("15:04")
	}}
	if m := r.Render(podsDown(2), now)[0]; !strings.Contains(m.Text, "[Dashboard](https://g/zb-a/04:34-07:36)") {
		t.Error(m.Text)
	}
	if m := r.Render(zoneDown(now), now)[0]; strings.Contains(m.Text, "https://g/") || strings.Count(m.Text, "Dashboard") != 1 {
		t.Error(m.Text)
	}
}

func typed(r Renderer, t Type) Renderer {
	r.Type = t
	return r
}

func hostile() Group {
	g := zoneDown(time.Time{})
	g.Labels["zone"] = "x](http://evil) \n# owned <img src=x>"
	g.Alerts[0].Labels["zone"] = g.Labels["zone"]
	g.Alerts[0].Annotations = map[string]string{"summary": "**a**\n\n- b", "runbook": "javascript:alert(1)", "logs": "https://h/a b)(c"}
	return g
}

// A golden file holds what is sent, parts separated by a line of =.
func TestRender(t *testing.T) {
	zh := Renderer{Base: "https://kongdao.example.com"}
	en := Renderer{Lang: English, Location: time.FixedZone("CST", 8*3600)}
	many := make([]Group, 0, 30)
	for i := range 30 {
		g := podsDown(1)
		g.Key, g.Sequence = fmt.Sprint(i), uint64(i+1)
		many = append(many, g)
	}
	many = append(many, zoneDown(time.Time{}), zoneDown(now))
	cases := map[string][]Message{
		"firing-zh":     zh.Render(zoneDown(time.Time{}), now),
		"firing-en":     en.Render(zoneDown(time.Time{}), now),
		"resolved-zh":   zh.Render(zoneDown(now), now),
		"resolved-en":   en.Render(zoneDown(now), now),
		"group-zh":      zh.Render(podsDown(14), now),
		"group-en":      en.Render(podsDown(14), now),
		"hostile":       zh.Render(hostile(), now),
		"without-alert": zh.Render(Group{Key: "k"}, now),
		"digest-zh":     {zh.Digest(many)},
		"digest-en":     {en.Digest(many)},
		"test":          {zh.Test("oncall", now)},
		"full-zh":       full(zh).Render(slow(time.Time{}), now),
		"full-en":       full(en).Render(slow(time.Time{}), now),
		"ended-zh":      full(zh).Render(slow(now), now),
		"ended-en":      full(en).Render(slow(now), now),
		"text-zh":       typed(full(zh), Text).Render(slow(time.Time{}), now),
		"text-en":       typed(full(en), Text).Render(slow(now), now),
		"card-zh":       typed(full(zh), ActionCard).Render(slow(now), now),
		"card-en":       typed(en, ActionCard).Render(zoneDown(time.Time{}), now),
		"mentioned-en":  {full(en).Digest([]Group{slow(time.Time{}), podsDown(1), zoneDown(now)})},
	}
	for name, messages := range cases {
		t.Run(name, func(t *testing.T) {
			var b strings.Builder
			for i, m := range messages {
				if i > 0 {
					b.WriteString("\n==========\n")
				}
				fmt.Fprintf(&b, "title: %s\n\n%s\n", m.Title, m.Text)
				if at := append(slices.Clone(m.AtMobiles), m.AtUsers...); len(at) > 0 {
					fmt.Fprintf(&b, "\nat: %s\n", strings.Join(at, ", "))
				}
				for _, l := range m.Buttons {
					fmt.Fprintf(&b, "\nbutton: %s %s\n", l.Text, l.URL)
				}
			}
			golden(t, name+".md", b.String())
		})
	}
}

func golden(t *testing.T, name, got string) {
	t.Helper()
	path := filepath.Join("testdata", name)
	if *update {
		if err := os.WriteFile(path, []byte(got), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(want), got); diff != "" {
		t.Errorf("%s (-want +got):\n%s", path, diff)
	}
}

// On-call finds the end of what began by the same title and ID.
func TestFiringAndResolvedBelongTogether(t *testing.T) {
	fired, ended := (Renderer{}).Render(zoneDown(time.Time{}), now)[0], (Renderer{}).Render(zoneDown(now), now)[0]
	cut := func(s string) string { return s[strings.Index(s, "ZoneDown"):] }
	if cut(fired.Title) != cut(ended.Title) || !strings.Contains(fired.Title, zoneDown(now).ID()) {
		t.Errorf("titles %q and %q", fired.Title, ended.Title)
	}
}

// However much there is to say, no message is too long.
func TestMessagesFit(t *testing.T) {
	g := podsDown(500)
	for i := range g.Alerts {
		g.Alerts[i].Annotations["description_zh"] = strings.Repeat("很长", 3000)
	}
	for i, m := range (Renderer{}).Render(g, now) {
		if n := encodedLen(m); n > MaxBytes {
			t.Errorf("part %d has %d bytes", i+1, n)
		}
	}
	many := make([]Group, 2000)
	for i := range many {
		many[i] = podsDown(1)
		many[i].Key = fmt.Sprint(i)
	}
	if n := encodedLen((Renderer{}).Digest(many)); n > MaxBytes {
		t.Errorf("digest has %d bytes", n)
	}
}

func TestMergeKeepsWhatEnded(t *testing.T) {
	older := podsDown(3) // the third has ended
	newer := podsDown(2)
	m := Merge(older, newer)
	if len(m.Alerts) != 3 || m.Alerts[2].Fingerprint != "2" || m.Alerts[2].Firing() {
		t.Errorf("merged: %+v", m.Alerts)
	}
	newer = podsDown(3)
	newer.Alerts[2].EndsAt = time.Time{} // fires again
	if m := Merge(older, newer); len(m.Alerts) != 3 || !m.Alerts[2].Firing() {
		t.Errorf("merged: %+v", m.Alerts)
	}
}

func TestDuration(t *testing.T) {
	for d, want := range map[time.Duration]string{
		-time.Second: "0s", 0: "0s", 59 * time.Second: "59s", 61 * time.Second: "1m 1s",
		time.Hour: "1h", 26*time.Hour + 3*time.Minute: "1d 2h", 24*time.Hour + time.Minute: "1d",
	} {
		if got := english.duration(d); got != want {
			t.Errorf("%s is %q, want %q", d, got, want)
		}
	}
}

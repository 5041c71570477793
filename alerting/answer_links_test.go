package alerting_test

import (
	"html"
	"net/http"
	"net/url"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/alerting"
	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/alerting/people"
	"github.com/kongdao/kongdao/api"
)

var (
	answerLink = regexp.MustCompile(`\[(Claim|Silence 30 min|Escalate)\]\((http[^)]*/answer\?[^)]*)\)`)
	onceField  = regexp.MustCompile(`name="once" value="([^"]+)"`)
)

func team() *people.Directory {
	return people.New(api.Set{
		Functions: []*api.Function{{Metadata: api.Metadata{Name: "feed", Owner: "feeders"}}},
		Teams:     []*api.Team{{Metadata: api.Metadata{Name: "feeders"}, Spec: api.TeamSpec{Members: []string{"ann", "ben"}}}},
		People:    []*api.Person{{Metadata: api.Metadata{Name: "ann"}, Spec: api.PersonSpec{Name: "Ann <b>"}}, {Metadata: api.Metadata{Name: "ben"}}},
	})
}

// linked starts a system whose message has links, and returns them by their text.
func linked(t *testing.T) (*running, map[string]string) {
	t.Helper()
	target, robot := serveGauges(t), dingtalktest.Start(t, dingtalktest.Config{Secret: secret})
	cfg := config(t.TempDir(), target.addr(), robot)
	cfg.Lang, cfg.Links.ListenLinks, cfg.Messages.People = dingtalk.English, "127.0.0.1:0", team()
	cfg.Escalation = alerting.Escalation{After: api.Duration(time.Hour), To: []string{"next"}}
	a := start(t, cfg)
	target.broken.Store(1)
	text := wait(t, robot, 1)[0].Text
	links := map[string]string{}
	for _, m := range answerLink.FindAllStringSubmatch(text, -1) {
		links[m[1]] = m[2]
	}
	if len(links) != 3 {
		t.Fatalf("links %v in\n%s", links, text)
	}
	return a, links
}

func visit(t *testing.T, method, address string, form url.Values) (int, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, address, strings.NewReader(form.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	if method == http.MethodPost {
		req.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	resp, err := noKeepAlive.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	return resp.StatusCode, read(t, resp)
}

func once(t *testing.T, page string) string {
	t.Helper()
	m := onceField.FindStringSubmatch(page)
	if m == nil {
		t.Fatalf("a page without a form:\n%s", page)
	}
	return html.UnescapeString(m[1])
}

// Opening a link does nothing, for programs open links too; the button on the page
// does it once.
func TestAnswerByLink(t *testing.T) {
	a, links := linked(t)
	var page string
	for range 3 {
		var code int
		if code, page = visit(t, http.MethodGet, links["Claim"], nil); code != http.StatusOK || !strings.Contains(page, "feed is broken") {
			t.Fatalf("%d:\n%s", code, page)
		}
	}
	if strings.Contains(page, "<b>") || !strings.Contains(page, "Ann &lt;b&gt;") {
		t.Errorf("a name writes the page:\n%s", page)
	}
	if s := a.Claims()[0]; s.Claimed != nil {
		t.Fatal("opening a link claimed")
	}
	form := url.Values{"by": {"Ann <b>"}, "once": {once(t, page)}}
	for range 2 { // pressed twice
		if code, page := visit(t, http.MethodPost, links["Claim"], form); code != http.StatusOK || !strings.Contains(page, "Claimed") {
			t.Fatalf("%d:\n%s", code, page)
		}
	}
	if s := a.Claims()[0]; s.Claimed == nil || s.Claimed.By.Name != "Ann <b>" || !strings.HasPrefix(s.Claimed.Via, "link from 127.0.0.1") {
		t.Errorf("claimed %+v", s.Claimed)
	}
	_, page = visit(t, http.MethodGet, links["Claim"], nil)
	if code, page := visit(t, http.MethodPost, links["Claim"], url.Values{"by": {"ben"}, "once": {once(t, page)}}); code != http.StatusConflict || !strings.Contains(page, "claimed by Ann") {
		t.Errorf("a second claim: %d:\n%s", code, page)
	}
	_, page = visit(t, http.MethodGet, links["Silence 30 min"], nil)
	if code, _ := visit(t, http.MethodPost, links["Silence 30 min"], url.Values{"by": {"ben"}, "once": {once(t, page)}}); code != http.StatusOK {
		t.Errorf("silence: %d", code)
	}
	if s := get(t, "http://"+a.Addr()+"/api/v2/silences"); !strings.Contains(s, `"createdBy":"ben"`) {
		t.Errorf("silences %s", s)
	}
}

func TestLinksAreNotOpenToOthers(t *testing.T) {
	a, links := linked(t)
	_, page := visit(t, http.MethodGet, links["Claim"], nil)
	for _, by := range []string{"eve", "", "Ann", strings.Repeat("x", 100)} {
		if code, _ := visit(t, http.MethodPost, links["Claim"], url.Values{"by": {by}, "once": {once(t, page)}}); code != http.StatusUnprocessableEntity {
			t.Errorf("as %q: %d", by, code)
		}
	}
	// Another action under the same signature, or a longer life.
	for _, forged := range []string{strings.Replace(links["Claim"], "a=claim", "a=silence", 1), regexp.MustCompile(`x=\d+`).ReplaceAllString(links["Claim"], "x=9999999999")} {
		if code, _ := visit(t, http.MethodPost, forged, url.Values{"by": {"ben"}, "once": {"1"}}); code != http.StatusForbidden {
			t.Errorf("%s: %d", forged, code)
		}
	}
	if code, _ := visit(t, http.MethodPut, links["Claim"], nil); code != http.StatusMethodNotAllowed {
		t.Errorf("put: %d", code)
	}
	if s := a.Claims()[0]; s.Claimed != nil || s.Silenced != nil {
		t.Errorf("%+v", s)
	}
}

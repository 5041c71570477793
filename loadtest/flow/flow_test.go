package flow_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	vegeta "github.com/tsenart/vegeta/v12/lib"
	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest"
	"github.com/kongdao/kongdao/loadtest/attack"
	"github.com/kongdao/kongdao/loadtest/report"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// parse reads the spec of a scenario as users write it; $URL is put in before.
func parse(t *testing.T, url, text string) api.ScenarioSpec {
	t.Helper()
	doc := "apiVersion: kongdao.io/v1\nkind: Scenario\nmetadata: {name: test}\nspec:\n" + strings.ReplaceAll(text, "$URL", url)
	set, problems := api.Parse("test.yaml", []byte(doc))
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	return set.Scenarios[0].Spec
}

func run(t *testing.T, spec api.ScenarioSpec, o loadtest.Options) report.Result {
	t.Helper()
	o.Run = "lt-test"
	r, err := loadtest.Run(t.Context(), spec, o)
	if err != nil {
		t.Fatal(err)
	}
	return r
}

// texts are the errors of single requests.
func texts(t *testing.T, b *bytes.Buffer) map[string]int {
	t.Helper()
	out := map[string]int{}
	decode := vegeta.DecoderFor(bytes.NewReader(b.Bytes()))
	if decode == nil {
		return out
	}
	for {
		var x vegeta.Result
		if err := decode(&x); err != nil {
			return out
		}
		if x.Error != "" {
			out[x.Error]++
		}
	}
}

// shop is a server with a login, carts and items.
type shop struct {
	mu     sync.Mutex
	got    map[string]int
	marked int
}

func (s *shop) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	body, _ := io.ReadAll(r.Body)
	s.mu.Lock()
	s.got[fmt.Sprintf("%s %s %s %s%s", r.Method, r.Host[:min(4, len(r.Host))], r.URL.RequestURI(), r.Header.Get("authorization"), body)]++
	if r.Header.Get(attack.Header) == "lt-test" {
		s.marked++
	}
	s.mu.Unlock()
	switch {
	case r.URL.Path == "/login":
		var in struct{ Name string }
		if json.Unmarshal(body, &in) != nil {
			w.WriteHeader(http.StatusBadRequest)
		}
		w.Header().Set("x-session", "s-"+in.Name)
		fmt.Fprintf(w, `{"data":{"token":%q,"n":12345678901234567890},"html":"<input name=\"csrf\" value=\"c-%s\">"}`, "t-"+in.Name, strings.ReplaceAll(in.Name, `"`, ""))
	case r.URL.Path == "/broken":
		w.WriteHeader(http.StatusServiceUnavailable)
	default:
		fmt.Fprintf(w, `{"state":"ok","path":%q}`, r.URL.Path)
	}
}

func serveShop(t *testing.T) (*shop, string) {
	t.Helper()
	s := &shop{got: map[string]int{}}
	server := httptest.NewServer(s)
	t.Cleanup(server.Close)
	return s, server.URL
}

func files(t *testing.T, all map[string]string) scenario.Files {
	t.Helper()
	dir := t.TempDir()
	for name, text := range all {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	env := map[string]string{"API_KEY": "k{{ey"}
	return scenario.Files{Dir: dir, Env: func(name string) (string, bool) { v, ok := env[name]; return v, ok }}
}

func TestStepsUseWhatAnswersHeld(t *testing.T) {
	s, url := serveShop(t)
	spec := parse(t, url, `
  data: {users: {file: users.csv}}
  steps:
    - name: login
      method: POST
      url: $URL/login
      body: '{"name": {{.users.name | json}}}'
      extract:
        token: {json: data.token}
        n: {json: data.n}
        session: {header: x-session}
        csrf: {regex: 'value=\\"([^"\\]+)'}
      checks: [{status: 200}, {contains: token}]
    - name: cart
      tags: [cart]
      method: GET
      url: $URL/cart/{{.users.id}}?q={{.csrf | query}}&n={{.n}}
      headers: {authorization: "Bearer {{.token}}/{{.session}}", host: shop.test}
      checks: [{json: state, equals: ok}, {json: path}]
  stages: [{rate: 30, duration: 1s}]
  thresholds: ["success >= 100%", "p99{tag=cart} < 10s", "sent{target=login} >= 30", "sent{tag=cart} <= 29"]
`)
	r := run(t, spec, loadtest.Options{Files: files(t, map[string]string{"users.csv": "id,name\n1,Ann\n2,\"B \"\"b\"\"\"\n3,Cy\n"})})
	if r.Sent != 60 || r.Status[200] != 60 || r.OfferedRate != 30 || r.AchievedRate > 30 {
		t.Errorf("sent %d, status %v, errors %v, rate %v of %v", r.Sent, r.Status, r.Errors, r.AchievedRate, r.OfferedRate)
	}
	for _, want := range []string{
		`GET shop /cart/1?q=c-Ann&n=12345678901234567890 Bearer t-Ann/s-Ann`,
		`GET shop /cart/3?q=c-Cy&n=12345678901234567890 Bearer t-Cy/s-Cy`,
		`POST 127. /login {"name": "B \"b\""}`,
	} {
		if s.got[want] != 10 {
			t.Errorf("%d times %q; got %v", s.got[want], want, s.got)
		}
	}
	if s.marked != 60 {
		t.Errorf("%d of 60 requests carried the mark", s.marked)
	}
	var kept []bool
	for _, o := range r.Thresholds {
		kept = append(kept, o.OK)
	}
	if fmt.Sprint(kept) != "[true true true false]" {
		t.Errorf("thresholds %+v", r.Thresholds)
	}
	if len(r.Parts) != 2 || r.Parts[0].Target != "login" || r.Parts[1].Sent != 30 || r.Parts[1].Tags[0] != "cart" {
		t.Errorf("parts %+v", r.Parts)
	}
}

// A failed extraction fails its step, by name, and ends the iteration.
func TestFailedExtractionsAndChecks(t *testing.T) {
	s, url := serveShop(t)
	for name, c := range map[string]struct{ step, fault, text string }{
		"json":     {`extract: {token: {json: no.where}}`, "extract token", `login: the body has nothing at no.where, status 200`},
		"header":   {`extract: {token: {header: x-none}}`, "extract token", `login: there is no header x-none, status 200`},
		"regex":    {`extract: {token: {regex: 'to+ken=(.)'}}`, "extract token", `login: nothing in the body matches to+ken=(.), status 200`},
		"status":   {`checks: [{status: 201}]`, "check status 201", `login: status is 200, want 201`},
		"contains": {`checks: [{contains: "welcome"}]`, "check contains welcome", `login: the body does not contain "welcome"`},
		"value":    {`checks: [{json: data.token, equals: x}]`, "check json data.token", `login: data.token is "t-Ann", want "x"`},
		"path":     {`checks: [{json: nothing}]`, "check json nothing", `login: the body has nothing at nothing`},
	} {
		t.Run(name, func(t *testing.T) {
			var results bytes.Buffer
			spec := parse(t, url, `
  steps:
    - {name: login, method: POST, url: $URL/login, body: '{"name":"Ann"}', `+c.step+`}
    - {method: GET, url: $URL/never}
  stages: [{rate: 50, duration: 200ms}]
`)
			r := run(t, spec, loadtest.Options{Results: &results})
			if r.Sent != 10 || r.Errors[c.fault] != 10 || len(r.Status) != 0 || r.Success() != 0 {
				t.Errorf("sent %d, errors %v, status %v", r.Sent, r.Errors, r.Status)
			}
			if got := texts(t, &results); got[c.text] != 10 {
				t.Errorf("errors %v, want %q", got, c.text)
			}
			if s.got["GET 127. /never "] != 0 {
				t.Error("a step was sent after a failed one")
			}
		})
	}
}

func TestTargetsAreSentInTurnWithFilesAndSecrets(t *testing.T) {
	s, url := serveShop(t)
	spec := parse(t, url, `
  data: {items: {file: items.jsonl, order: unique}}
  targets:
    - {method: GET, url: "$URL/a/{{.items.id}}", headers: {authorization: "Key ${env:API_KEY}"}}
    - {method: PUT, url: "$URL/b", bodyFile: body.txt}
  stages: [{rate: 40, duration: 100ms}]
`)
	r := run(t, spec, loadtest.Options{Files: files(t, map[string]string{
		"items.jsonl": "{\"id\":1}\n{\"id\":\"x y\"}\n{\"id\":3}\n{\"id\":4}\n", "body.txt": "{{as it is}}",
	})})
	if r.Sent != 4 || s.got["GET 127. /a/1 Key k{{ey"] != 1 || s.got["GET 127. /a/3 Key k{{ey"] != 1 || s.got["PUT 127. /b {{as it is}}"] != 2 {
		t.Errorf("got %v, errors %v", s.got, r.Errors)
	}
}

// What an address holds is not in the errors of its requests.
func TestSecretsOfAddressesAreNotToldByErrors(t *testing.T) {
	for name, c := range map[string]struct{ target, want string }{
		"without a path":        {"url: 'ws://127.0.0.1:1?key=${env:API_KEY}'", "connection refused"},
		"that is no address":    {"method: GET, url: 'http://127.0.0.1:1/{{.items.id}}?key=${env:API_KEY}'", "what the templates make of http://127.0.0.1:1/{{.items.id}}?key=${env:API_KEY} is no address"},
		"with a path and query": {"url: 'ws://127.0.0.1:1/a?key=${env:API_KEY}'", "connection refused"},
	} {
		t.Run(name, func(t *testing.T) {
			spec := parse(t, "", fmt.Sprintf("\n  data: {items: {file: i.csv}}\n  targets: [{%s}]\n  stages: [{rate: 50, duration: 100ms}]\n", c.target))
			o := loadtest.Options{Files: files(t, map[string]string{"i.csv": "id\n%zz\n"})}
			o.Files.Env = func(string) (string, bool) { return "s3cret", true }
			var results bytes.Buffer
			o.Results = &results
			run(t, spec, o)
			for text, n := range texts(t, &results) {
				if n != 5 || strings.Contains(text, "s3cret") || !strings.Contains(text, c.want) {
					t.Errorf("%d times: %s", n, text)
				}
			}
		})
	}
}

// Generators that share a run have rows and numbers of their own.
func TestSharesTakeOtherRows(t *testing.T) {
	s, url := serveShop(t)
	spec := parse(t, url, `
  data: {items: {file: items.csv, order: unique}}
  targets: [{method: GET, url: "$URL/{{.items.id}}/{{seq}}"}]
  stages: [{rate: 30, duration: 200ms}]
`)
	o := loadtest.Options{Files: files(t, map[string]string{"items.csv": "id\na\nb\nc\nd\ne\nf\n"})}
	for i := range 3 {
		o.Share = attack.Share{Index: i, Of: 3}
		if _, err := loadtest.Measure(t.Context(), spec, o); err != nil {
			t.Fatal(err)
		}
	}
	for i, id := range strings.Split("abcdef", "") {
		if want := fmt.Sprintf("GET 127. /%s/%d ", id, i); s.got[want] != 1 {
			t.Errorf("%d times %q; got %v", s.got[want], want, s.got)
		}
	}
}

// Weights are exact, and each scenario has its own figures and thresholds.
func TestSeveralScenarios(t *testing.T) {
	_, url := serveShop(t)
	spec := parse(t, url, `
  stages: [{rate: 80, duration: 1s}]
  scenarios:
    - {name: browse, weight: 3, targets: [{method: GET, url: $URL/browse}], thresholds: ["success >= 100%"]}
    - {name: buy, weight: 1, targets: [{method: GET, url: $URL/broken}], thresholds: ["success >= 100%", "p99 < 10s"]}
    - {name: night, start: 500ms, stages: [{rate: 20, duration: 500ms}], targets: [{method: GET, url: $URL/night}]}
  thresholds: ["success > 50%", "success{scenario=night} > 50%"]
`)
	r := run(t, spec, loadtest.Options{})
	sent := map[string]uint64{}
	for _, p := range r.Parts {
		sent[p.Scenario] = p.Sent
	}
	if sent["browse"] != 60 || sent["buy"] != 20 || sent["night"] != 10 || r.Sent != 90 {
		t.Errorf("sent %v of %d", sent, r.Sent)
	}
	got := ""
	for _, o := range r.Thresholds {
		got += fmt.Sprintf("%s %v\n", o.Expr, o.OK)
	}
	want := `success > 50% true
success{scenario=night} > 50% true
success{scenario=browse} >= 100% true
success{scenario=buy} >= 100% false
p99{scenario=buy} < 10s true
`
	if got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
}

// A host that comes out of a template is held against the list when it is known.
func TestTemplatedHostIsRefusedAtSendTime(t *testing.T) {
	s, url := serveShop(t)
	var results bytes.Buffer
	spec := parse(t, url, `
  data: {hosts: {file: hosts.csv}}
  targets:
    - {method: GET, url: "http://{{.hosts.host}}/x"}
  stages: [{rate: 40, duration: 100ms}]
`)
	host := strings.TrimPrefix(url, "http://")
	r := run(t, spec, loadtest.Options{Results: &results, Files: files(t, map[string]string{
		"hosts.csv": "host\n" + host + "\nexample.com\n127.0.0.1@example.com\n\"example.com:80#\"\n",
	})})
	if r.Status[200] != 1 || r.Errors["forbidden"] != 3 || s.got["GET 127. /x "] != 1 {
		t.Errorf("status %v, errors %v, %v", r.Status, r.Errors, s.got)
	}
	if got := texts(t, &results); got["host example.com is not on the list of hosts that may be load-tested"] != 2 {
		t.Errorf("errors %v", got)
	}
}

func TestNoLineBreakGetsIntoAHeader(t *testing.T) {
	_, url := serveShop(t)
	spec := parse(t, url, `
  data: {users: {file: users.csv}}
  targets: [{method: GET, url: "$URL/", headers: {x-name: "{{.users.name}}"}}]
  stages: [{rate: 20, duration: 100ms}]
`)
	r := run(t, spec, loadtest.Options{Files: files(t, map[string]string{"users.csv": "name\n\"a\r\nx-evil: 1\"\n"})})
	if r.Errors["render"] != 2 {
		t.Errorf("status %v, errors %v", r.Status, r.Errors)
	}
}

func TestAnswersHaveACap(t *testing.T) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		for range 1000 {
			if _, err := w.Write(make([]byte, 10_000)); err != nil {
				return
			}
		}
	}))
	defer server.Close()
	spec := parse(t, server.URL, `
  targets: [{method: GET, url: "$URL/"}, {method: GET, url: "$URL/kept", checks: [{contains: x}]}]
  stages: [{rate: 40, duration: 100ms}]
  maxAnswer: 100000
`)
	r := run(t, spec, loadtest.Options{})
	if r.Errors["too-large"] != 4 || r.BytesIn > 4*100_001 {
		t.Errorf("errors %v, %d bytes", r.Errors, r.BytesIn)
	}
}

func TestRedirectsAreAnswers(t *testing.T) {
	elsewhere := 0
	other := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { elsewhere++ }))
	defer other.Close()
	server := httptest.NewServer(http.RedirectHandler(other.URL, http.StatusFound))
	defer server.Close()
	spec := parse(t, server.URL, `
  targets: [{method: GET, url: "$URL/"}, {url: "`+strings.Replace(server.URL, "http", "ws", 1)+`/"}]
  stages: [{rate: 40, duration: 100ms}]
`)
	r := run(t, spec, loadtest.Options{})
	if r.Status[302] != 2 || r.Errors["no-upgrade"] != 2 || elsewhere != 0 {
		t.Errorf("status %v, errors %v, %d requests went elsewhere", r.Status, r.Errors, elsewhere)
	}
}

// HTTP/2 is spoken with and without TLS, and nothing else when it is asked for.
func TestHTTP2(t *testing.T) {
	protocols := map[string]int{}
	var mu sync.Mutex
	handler := http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		mu.Lock()
		defer mu.Unlock()
		protocols[r.Proto]++
	})
	plain := httptest.NewUnstartedServer(handler)
	plain.Config.Protocols = new(http.Protocols)
	plain.Config.Protocols.SetHTTP1(true)
	plain.Config.Protocols.SetUnencryptedHTTP2(true)
	plain.Start()
	defer plain.Close()
	secure := httptest.NewUnstartedServer(handler)
	secure.EnableHTTP2 = true
	secure.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError) // one certificate is refused on purpose
	secure.StartTLS()
	defer secure.Close()
	ca := filepath.Join(t.TempDir(), "ca.pem")
	if err := os.WriteFile(ca, pemOf(secure), 0o600); err != nil {
		t.Fatal(err)
	}
	text := `
  targets: [{method: GET, url: "$URL/"}, {method: POST, body: x, url: "` + secure.URL + `/"}]
  tls: {ca: ` + ca + `}
  stages: [{rate: 100, duration: 200ms}]
`
	spec := parse(t, plain.URL, text)
	o := loadtest.Options{Files: scenario.Files{Dir: "."}}
	if r := run(t, spec, o); r.Status[200] != 20 || protocols["HTTP/1.1"] != 20 {
		t.Errorf("%v, status %v, errors %v", protocols, r.Status, r.Errors)
	}
	spec.HTTP2 = true
	if r := run(t, spec, o); r.Status[200] != 20 || protocols["HTTP/2.0"] != 20 {
		t.Errorf("%v, status %v, errors %v", protocols, r.Status, r.Errors)
	}
	spec.TLS.CA = ""
	if r := run(t, spec, o); r.Errors[attack.KindTLS] != 10 {
		t.Errorf("an unknown certificate: errors %v", r.Errors)
	}
	spec.TLS.SkipVerify = true
	if r := run(t, spec, o); r.Status[200] != 20 {
		t.Errorf("any certificate: errors %v", r.Errors)
	}
}

func TestTimeoutsAndCuts(t *testing.T) {
	release := make(chan struct{})
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/half" {
			w.Header().Set("content-length", "10")
			_, _ = w.Write([]byte("half"))
			return
		}
		select {
		case <-release:
		case <-r.Context().Done():
		}
	}))
	defer server.Close()
	defer close(release)
	spec := parse(t, server.URL, `
  targets: [{method: GET, url: "$URL/slow"}, {method: GET, url: "$URL/half"}]
  timeout: 100ms
  stages: [{rate: 40, duration: 100ms}]
`)
	r := run(t, spec, loadtest.Options{})
	if r.Errors[attack.KindTimeout] != 2 || r.Errors[attack.KindEOF] != 2 {
		t.Errorf("errors %v, status %v", r.Errors, r.Status)
	}
}

func BenchmarkStatic(b *testing.B) { benchmark(b, "/feed", nil) }

func BenchmarkTemplates(b *testing.B) {
	benchmark(b, "/feed/{{seq}}/{{uuid}}", map[string]string{"x-at": "{{unixMilli}}"})
}

// benchmark sends as fast as one worker can, and reports what a request costs
// client and server together.
func benchmark(b *testing.B, path string, header map[string]string) {
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte("ok")) }))
	defer server.Close()
	spec := api.ScenarioSpec{
		Targets: []api.Target{{Method: "GET", URL: server.URL + path, Header: header}},
		Stages:  []api.Stage{{Rate: 1, Duration: api.Duration(time.Second)}},
	}
	p, err := scenario.New(spec, scenario.DefaultLimits())
	if err != nil {
		b.Fatal(err)
	}
	sender, err := p.Sender(b.Context(), "lt-bench", 1, attack.Share{}, nil)
	if err != nil {
		b.Fatal(err)
	}
	defer sender.Close()
	it := attack.Iteration{}
	b.ReportAllocs()
	for b.Loop() {
		if err := sender.Take(&it); err != nil {
			b.Fatal(err)
		}
		if r, _ := sender.Send(b.Context(), &it); r.Status != 200 {
			b.Fatal(r)
		}
		it.Seq++
	}
}

package imports_test

import (
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/imports"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

var plan = imports.Plan{Name: "imported", Rate: 10, Duration: "1m"}

type reader func(io.Reader) (*imports.Import, error)

// spec is what a user gets, read back.
func spec(t testing.TB, i *imports.Import) (api.ScenarioSpec, string) {
	t.Helper()
	text, err := i.YAML(plan)
	if err != nil {
		t.Fatal(err)
	}
	set, problems := api.Parse("imported.yaml", text)
	if len(problems) > 0 || len(set.Scenarios) != 1 {
		t.Fatalf("%v in\n%s", problems, text)
	}
	return set.Scenarios[0].Spec, string(text)
}

func read(t *testing.T, r reader, text string) (api.ScenarioSpec, *imports.Import) {
	t.Helper()
	i, err := r(strings.NewReader(text))
	if err != nil {
		t.Fatal(err)
	}
	s, _ := spec(t, i)
	return s, i
}

func show(ts []api.Target) (out []string) {
	for _, t := range ts {
		var header []string
		for k, v := range t.Header {
			header = append(header, k+"="+v)
		}
		slices.Sort(header)
		text := t.Method + " " + t.URL
		if len(header) > 0 {
			text += " [" + strings.Join(header, " ") + "]"
		}
		if t.Body != "" {
			text += " " + t.Body
		}
		if t.BodyFile != "" {
			text += " @" + t.BodyFile
		}
		out = append(out, text)
	}
	return out
}

func same(t *testing.T, got, want []string) {
	t.Helper()
	if fmt.Sprintf("%q", got) != fmt.Sprintf("%q", want) {
		t.Errorf("got\n%s\nwant\n%s", strings.Join(got, "\n"), strings.Join(want, "\n"))
	}
}

func TestVegeta(t *testing.T) {
	s, i := read(t, imports.Vegeta, `
# a remark
GET http://127.0.0.1:9000/feed?a={{x}}
X-App: preview
Authorization: Bearer abc

POST http://127.0.0.1:9000/items
Content-Type: application/json
@/tmp/item.json
GET http://127.0.0.1:9000/second
X-Api-Key: abc
Cookie: Bearer abc
{"method":"PUT","url":"http://127.0.0.1/j","body":"eyJwYXNzd29yZCI6ICJwdyIsICJuIjogIiR7eH0ifQ==","header":{"X-A":["1"]}}
`)
	same(t, show(s.Targets), []string{
		`GET http://127.0.0.1:9000/feed?a={{"{{"}}x}} [authorization=${env:AUTHORIZATION} x-app=preview]`,
		`POST http://127.0.0.1:9000/items [content-type=application/json] @/tmp/item.json`,
		`GET http://127.0.0.1:9000/second [cookie=${env:AUTHORIZATION} x-api-key=${env:X_API_KEY}]`,
		`PUT http://127.0.0.1/j [x-a=1] {"password": "${env:PASSWORD}", "n": "{{"${"}}x}"}`,
	})
	same(t, i.Warnings, []string{
		"header authorization holds a secret, which was not copied: set AUTHORIZATION",
		"header x-api-key holds a secret, which was not copied: set X_API_KEY",
		"header cookie holds a secret, which was not copied: set AUTHORIZATION",
		"field password holds a secret, which was not copied: set PASSWORD",
	})
	if len(s.Stages) != 1 || s.Stages[0].Rate != 10 || s.Stages[0].Duration.String() != "1m" {
		t.Errorf("stages %+v", s.Stages)
	}
}

func TestCurl(t *testing.T) {
	s, i := read(t, imports.Curl, `# as a browser copies it
curl 'http://127.0.0.1:9000/api/items?id=7&access_token=t0ps3cret#top' \
  -H 'accept: application/json' -H "x-quote: a\"b \$c" \
  -H 'authorization: Bearer abc' -b 'sid=1; theme=dark' \
  --data-raw $'{"name":"caf\u00e9 \'x\'","token":"abc"}' --compressed -sSk
curl -XDELETE -L http://u:pa55@127.0.0.1/x; curl -I 127.0.0.1:9000/head
curl -G --data-urlencode 'q=tea & cake' -d page=2 http://127.0.0.1/search -A agent -o /dev/null
curl --json '{"a":1}' http://127.0.0.1/json --http2
curl -u user:pa55 --data-binary @body.bin -H 'Content-Type: text/plain' --url=http://127.0.0.1/up
curl -d user=ann -d password=pa55 http://127.0.0.1/login -H 'X-Empty;' -H 'Accept:'
`)
	same(t, show(s.Targets), []string{
		`POST http://127.0.0.1:9000/api/items?id=7&access_token=${env:ACCESS_TOKEN} [accept=application/json authorization=${env:AUTHORIZATION} content-type=application/x-www-form-urlencoded cookie=${env:COOKIE} x-quote=a"b $c] {"name":"café 'x'","token":"${env:TOKEN}"}`,
		`DELETE http://127.0.0.1/x [authorization=${env:AUTHORIZATION_2}]`,
		`HEAD http://127.0.0.1:9000/head`,
		`GET http://127.0.0.1/search?q=tea+%26+cake&page=2 [user-agent=agent]`,
		`POST http://127.0.0.1/json [accept=application/json content-type=application/json] {"a":1}`,
		`POST http://127.0.0.1/up [authorization=${env:AUTHORIZATION_3} content-type=text/plain] @body.bin`,
		`POST http://127.0.0.1/login [content-type=application/x-www-form-urlencoded x-empty=] user=ann&password=${env:PASSWORD}`,
	})
	_, text := spec(t, i)
	for _, secret := range []string{"t0ps3cret", "abc", "pa55", "sid=1", "dXNlcjpwYTU1"} {
		if strings.Contains(text, secret) || strings.Contains(strings.Join(i.Warnings, "\n"), secret) {
			t.Errorf("%s was copied", secret)
		}
	}
	if !s.HTTP2 || !s.TLS.SkipVerify || !slices.Contains(i.Warnings, "redirects are not followed (-L): they count as answers") {
		t.Errorf("http2 %v, tls %+v, warnings %q", s.HTTP2, s.TLS, i.Warnings)
	}
}

const session = `{"log":{"version":"1.2","entries":[
 {"request":{"method":"POST","url":"https://shop.example.com/login","httpVersion":"http/2.0",
  "headers":[{"name":":authority","value":"shop.example.com"},{"name":"Host","value":"shop.example.com"},{"name":"X-CSRF-Token","value":"t1"},{"name":"Accept","value":"*/*"},{"name":"Content-Length","value":"9"}],
  "postData":{"mimeType":"application/json","text":"{\"user\":\"ann\",\"password\":\"pw\",\"otp\":-4.7e1}"}}},
 {"_resourceType":"websocket","request":{"method":"GET","url":"wss://shop.example.com/live","headers":[]}},
 {"request":{"method":"GET","url":"https://shop.example.com/cart","headers":[{"name":"Cookie","value":"sid=1"}]}},
 {"request":{"method":"POST","url":"https://shop.example.com/form","headers":[],"postData":{"mimeType":"application/x-www-form-urlencoded","params":[{"name":"a","value":"1"},{"name":"pin","value":"1234"}]}}}
]}}`

func TestHAR(t *testing.T) {
	s, i := read(t, imports.HAR, session)
	same(t, show(s.Steps), []string{
		`POST https://shop.example.com/login [accept=*/* x-csrf-token=${env:X_CSRF_TOKEN}] {"user":"ann","password":"${env:PASSWORD}","otp":${env:OTP}}`,
		`GET https://shop.example.com/cart [cookie=${env:COOKIE}]`,
		`POST https://shop.example.com/form a=1&pin=${env:PIN}`,
	})
	if len(s.Targets) != 0 || !slices.Contains(i.Warnings, "entry 1 is no HTTP request and was left out") {
		t.Errorf("targets %v, warnings %q", s.Targets, i.Warnings)
	}
}

// What was imported can be carried out once its variables are set.
func TestImportedScenarioIsComplete(t *testing.T) {
	s, _ := read(t, imports.HAR, session)
	l := scenario.DefaultLimits()
	l.Hosts = []string{"shop.example.com"}
	if _, err := scenario.New(s, l); err == nil || !strings.Contains(err.Error(), "steps[0].headers.x-csrf-token: names the variable X_CSRF_TOKEN") {
		t.Errorf("without variables: %v", err)
	}
	if _, err := scenario.NewIn(s, l, scenario.Files{Env: func(string) (string, bool) { return "v{{", true }}); err != nil {
		t.Error(err)
	}
}

func TestErrorsNameTheLine(t *testing.T) {
	for name, c := range map[string]struct {
		read       reader
		text, want string
	}{
		"vegeta: nothing":          {imports.Vegeta, "\n# x\n", "1: has no target"},
		"vegeta: no address":       {imports.Vegeta, "\nGET /feed\n", `2: "/feed" is no http or https address`},
		"vegeta: a method":         {imports.Vegeta, "FETCH http://127.0.0.1/\n", `1: "FETCH http://127.0.0.1/" is neither METHOD URL`},
		"vegeta: header first":     {imports.Vegeta, "X-A: b\nGET http://127.0.0.1/", "1: \"X-A: b\" is neither"},
		"vegeta: body first":       {imports.Vegeta, "@x\n", "1: a body stands before"},
		"vegeta: no file":          {imports.Vegeta, "GET http://127.0.0.1/\n@ \n", "2: @ names no file"},
		"vegeta: broken json":      {imports.Vegeta, "{\"method\": 1}", "1: is no target in JSON"},
		"curl: nothing":            {imports.Curl, "# x\n", "1: has no curl command"},
		"curl: another program":    {imports.Curl, "\nwget http://127.0.0.1/", `2: "wget" is no curl command`},
		"curl: no address":         {imports.Curl, "curl -s", "1: the command has no address"},
		"curl: an open quote":      {imports.Curl, "curl \\\n 'http://127.0.0.1/", "2: a quote ' is not closed"},
		"curl: a pipe":             {imports.Curl, "curl http://127.0.0.1/ | sh", "pipes and redirections are not read"},
		"curl: an unknown option":  {imports.Curl, "curl --proxy x http://127.0.0.1/", "1: option --proxy of curl is not known here"},
		"curl: an unknown letter":  {imports.Curl, "curl -sx http://127.0.0.1/", "1: option -x of curl"},
		"curl: no value":           {imports.Curl, "curl http://127.0.0.1/ -H", "1: option -H has no value"},
		"curl: a form":             {imports.Curl, "curl http://127.0.0.1/ -F a=@b", "1: forms with files"},
		"curl: a cookie jar":       {imports.Curl, "curl http://127.0.0.1/ -b jar", "1: the file of a cookie jar"},
		"curl: too long":           {imports.Curl, "curl http://127.0.0.1/ -d '" + strings.Repeat("a", 32<<20) + "'", "is above 33554432 bytes"},
		"curl: a header":           {imports.Curl, "curl http://127.0.0.1/ -H 'a secret'", "1: -H holds no header"},
		"curl: an escape":          {imports.Curl, `curl $'\q'`, `1: the escape \q is not known`},
		"curl: two bodies":         {imports.Curl, "curl http://127.0.0.1/ -d a -d @b", "1: a file is one of several parts"},
		"curl: another scheme":     {imports.Curl, "curl ftp://u:pw@h/?token=x", `1: "…@h/" is no http or https address`},
		"har: no json":             {imports.HAR, "x", "is no HTTP archive"},
		"har: empty":               {imports.HAR, `{"log":{}}`, "has no HTTP requests"},
		"har: no address":          {imports.HAR, `{"log":{"entries":[{"request":{"method":"GET","url":"x"}}]}}`, `entry 0: "x" is no http or https address`},
		"har: a form with files":   {imports.HAR, `{"log":{"entries":[{"request":{"method":"POST","url":"http://h/","postData":{"mimeType":"multipart/form-data"}}}]}}`, "entry 0: its form with files"},
		"har: base64 that is none": {imports.HAR, `{"log":{"entries":[{"request":{"method":"POST","url":"http://h/","postData":{"encoding":"base64","text":"?"}}}]}}`, "entry 0: its body is no base64"},
		"har: what no method is":   {imports.HAR, `{"log":{"entries":[{"request":{"method":"x","url":"http://h/"}}]}}`, `entry 0: method is "x"`},
	} {
		t.Run(name, func(t *testing.T) {
			_, err := c.read(strings.NewReader(c.text))
			if err == nil || !strings.Contains(err.Error(), c.want) {
				t.Errorf("got %v, want %q", err, c.want)
			}
		})
	}
}

func TestBinaryBodiesAreRefused(t *testing.T) {
	i, err := imports.Vegeta(strings.NewReader(`{"method":"PUT","url":"http://127.0.0.1/j?token=x","body":"//4="}`))
	if err != nil {
		t.Fatal(err)
	}
	const want = `request 1, PUT "http://127.0.0.1/j": its body is not text`
	if _, err := i.YAML(plan); err == nil || !strings.Contains(err.Error(), want) {
		t.Errorf("got %v, want %q", err, want)
	}
}

// A body file of a vegeta target is read where the scenario is carried out.
func TestBodyFile(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "b.json"), []byte("{}"), 0o600); err != nil {
		t.Fatal(err)
	}
	s, _ := read(t, imports.Vegeta, "POST http://127.0.0.1/\n@b.json\n")
	if _, err := scenario.NewIn(s, scenario.DefaultLimits(), scenario.Files{Dir: dir}); err != nil {
		t.Error(err)
	}
	if _, err := scenario.NewIn(s, scenario.DefaultLimits(), scenario.Files{Dir: t.TempDir()}); err == nil || !strings.Contains(err.Error(), "targets[0].bodyFile:") {
		t.Errorf("a file that is not there: %v", err)
	}
}

func TestBase(t *testing.T) {
	for file, want := range map[string]string{"a/Shop_1.har": "shop-1", "-": "imported", "冰.har": "imported", "x.y.txt": "x-y"} {
		if got := imports.Base(file); got != want {
			t.Errorf("%s: %q, want %q", file, got, want)
		}
	}
}

// fuzz holds that whatever can be read becomes a scenario that can be read.
func fuzz(f *testing.F, read reader, seeds ...string) {
	for _, s := range seeds {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, text string) {
		i, err := read(strings.NewReader(text))
		if err != nil {
			return
		}
		if _, err := i.YAML(plan); err != nil {
			return
		}
		s, _ := spec(t, i)
		if len(s.Targets)+len(s.Steps) != len(i.Requests) {
			t.Errorf("%d requests became %d targets and %d steps", len(i.Requests), len(s.Targets), len(s.Steps))
		}
	})
}

func FuzzVegeta(f *testing.F) {
	fuzz(f, imports.Vegeta, "GET http://127.0.0.1/\nX-A: b\n@f\n", `{"method":"GET","url":"http://h/","header":{"a":["b"]},"body":"eA=="}`, "POST http://u:p@h/?token=x&{{=${\n")
}

func FuzzCurl(f *testing.F) {
	fuzz(f, imports.Curl, `curl 'http://h/' -H 'a: b' --data-raw $'x\u00e9'`, "curl -XPOST http://h/ -d a=b \\\n -u a:b", `curl "h/${x}" -G -d password=x`)
}

func FuzzHAR(f *testing.F) {
	fuzz(f, imports.HAR, session, `{"log":{"entries":[{"request":{"method":"GET","url":"http://h/?sig=x","headers":[{"name":"a","value":"b\n"}]}}]}}`)
}

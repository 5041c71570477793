package e2e

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/internal/demo/fleet"
	"github.com/kongdao/kongdao/internal/testkit"
)

// secretMark is part of every secret of this test.
const secretMark = "s3cr3tMARK"

// faultyRobots fails in every way, one for each path, and repeats what it was sent
// wherever it can.
func faultyRobots(t *testing.T) (plain, unknownTLS *httptest.Server) {
	h := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		all, _ := httputil.DumpRequest(r, true)
		echo := r.Host + r.URL.String() + " " + r.URL.Query().Encode() + " " + string(all)
		mode, _, _ := strings.Cut(strings.TrimPrefix(r.URL.Path, "/"), "/") // of an app there is more
		switch mode {
		case "refuses":
			_ = json.NewEncoder(w).Encode(map[string]any{"errcode": 310000, "errmsg": "sign not match: " + echo})
		case "throttles":
			_ = json.NewEncoder(w).Encode(map[string]any{"errcode": 130101, "errmsg": "send too fast: " + echo})
		case "declines":
			w.WriteHeader(http.StatusBadRequest)
			_ = json.NewEncoder(w).Encode(map[string]any{"code": "invalidParameter", "message": echo})
		case "busy":
			_ = json.NewEncoder(w).Encode(map[string]any{"errcode": -1, "errmsg": echo})
		case "fails":
			http.Error(w, echo, http.StatusInternalServerError)
		case "forbids":
			http.Error(w, echo, http.StatusForbidden)
		case "garbage":
			_, _ = io.WriteString(w, "<html>"+echo)
		case "redirects":
			http.Redirect(w, r, "/stolen?"+r.URL.RawQuery, http.StatusTemporaryRedirect)
		case "stolen":
			t.Error("a redirect was followed")
		case "hangs":
			<-r.Context().Done()
		case "cuts":
			if c, _, err := w.(http.Hijacker).Hijack(); err == nil {
				c.Close()
			}
		}
	})
	plain, unknownTLS = httptest.NewServer(h), httptest.NewUnstartedServer(h)
	unknownTLS.Config.ErrorLog = slog.NewLogLogger(slog.DiscardHandler, slog.LevelError)
	unknownTLS.StartTLS()
	t.Cleanup(plain.CloseClientConnections)
	t.Cleanup(plain.Close)
	t.Cleanup(unknownTLS.Close)
	return plain, unknownTLS
}

// TestSecretsStayInside runs a system with marked secrets against robots and receivers
// that fail in every way, and looks for the marks in all that comes out of it: logs of
// all levels, errors, metrics, answers, files, and the stacks of a crash.
func TestSecretsStayInside(t *testing.T) {
	plain, unknownTLS := faultyRobots(t)
	strict := dingtalktest.Start(t, dingtalktest.Config{Secret: "another"})
	closed := httptest.NewServer(nil)
	closed.Close()
	platform := newPlatform(t, fleet.Rates{}, functions("feed")...)

	names := []string{"strict", "closed", "tls", "odd"}
	addresses := map[string]string{
		"strict": "http://" + strict.Addr() + "/robot/send", "closed": closed.URL + "/robot/send", "tls": unknownTLS.URL + "/fails", "odd": plain.URL + "/refuses",
	}
	for _, mode := range []string{"refuses", "throttles", "busy", "fails", "forbids", "garbage", "redirects", "hangs", "cuts"} {
		names = append(names, mode)
		addresses[mode] = plain.URL + "/" + mode
	}
	var resources, receivers, routes strings.Builder
	for _, name := range names {
		token := secretMark + "-token-" + name
		if name == "odd" {
			token += "+/=&% ü" // is written in another way in addresses
		}
		t.Setenv("T_TOKEN_"+name, url.QueryEscape(token))
		t.Setenv("T_SIGN_"+name, "SEC"+secretMark+"-sign-"+name)
		fmt.Fprintf(&resources, "---\napiVersion: kongdao.io/v1\nkind: Robot\nmetadata: {name: %s}\nspec: {url: \"%s?access_token=${env:T_TOKEN_%s}\", secret: \"${env:T_SIGN_%s}\"}\n", name, addresses[name], name, name)
		fmt.Fprintf(&receivers, "- name: %s\n", name)
		fmt.Fprintf(&routes, "  - {matchers: [to=\"%s\"], receiver: %s}\n", name, name)
	}
	for _, mode := range []string{"declines", "fails", "forbids", "garbage", "cuts"} {
		name := "app-" + mode
		names = append(names, name)
		t.Setenv("T_APP_"+mode, secretMark+"-app-"+mode+"/+")
		fmt.Fprintf(&resources, "---\napiVersion: kongdao.io/v1\nkind: Robot\nmetadata: {name: %s}\nspec: {app: {clientId: ding1, clientSecret: \"${env:T_APP_%s}\", openConversationId: cid1, cardTemplate: t1, openAPI: %s/%s}}\n", name, mode, plain.URL, mode)
		fmt.Fprintf(&receivers, "- name: %s\n", name)
		fmt.Fprintf(&routes, "  - {matchers: [to=\"%s\"], receiver: %s}\n", name, name)
	}
	t.Setenv("T_KEY", secretMark+"-key-of-a-consumer")
	t.Setenv("T_HMAC", secretMark+"-hmac-of-a-consumer")
	resources.WriteString("---\napiVersion: kongdao.io/v1\nkind: Consumer\nmetadata: {name: app}\nspec: {keys: [\"${env:T_KEY}\"], signing: [\"${env:T_HMAC}\"]}\n")
	write(t, filepath.Join(platform.dir, "secrets.yaml"), resources.String())

	conf := filepath.Join(t.TempDir(), "alertmanager.yml")
	write(t, conf, fmt.Sprintf(`
global: {smtp_smarthost: %q, smtp_from: a@example.com, smtp_auth_username: u, smtp_auth_password: %s-smtp}
route:
  receiver: dingtalk
  group_by: [alertname, to]
  group_wait: 100ms
  group_interval: 1s
  routes:
%s  - {matchers: [to="others"], receiver: others}
receivers:
- name: dingtalk
- name: others
  webhook_configs:
  - {url: "%s/fails?x=%s-hook", http_config: {basic_auth: {username: u, password: %s-basic}}}
  - {url: "%s/cuts?x=%s-hook", http_config: {authorization: {credentials: %s-bearer}}}
  email_configs: [{to: b@example.com}]
%s`, strings.TrimPrefix(closed.URL, "http://"), secretMark, routes.String(), plain.URL, secretMark, secretMark, plain.URL, secretMark, secretMark, receivers.String()))

	data := t.TempDir()
	file := configFile(t, fmt.Sprintf("%slog: {level: debug}\n", strings.Replace(ephemeral, "alerting: {", "alerting: {alertmanagerConfig: "+conf+", fallback: others, ", 1)))
	p := start(t, data, "up", "-c", file, "--data", data, "--resources", platform.dir)
	p.ready()
	seen := searched{t, map[string]int{}}

	var trying sync.WaitGroup
	for _, name := range names {
		trying.Go(func() { seen.fetch(http.MethodPost, p.addr.API, "/api/v1/robots/"+name+"/test") })
	}
	for _, to := range append(names, "others") {
		newAmtool(t, p.addr.Alertmanager).fire("Faulty", "to", to)
	}
	trying.Wait()
	for _, name := range names {
		until(t, "a message to "+name+" was tried", func() error {
			return has(seen.fetch(http.MethodGet, p.addr.Metrics, "/metrics"), `kongdao_alerting_messages_sent_total{`, `robot="`+name+`"`)
		})
	}
	until(t, "the receiver others was tried", func() error {
		return has(string(must(os.ReadFile(p.log))(t)), "receiver=others", "attempts=")
	})
	bad := filepath.Join(t.TempDir(), "bad.url")
	write(t, bad, "https://%zz/"+secretMark+"?access_token="+secretMark)
	write(t, filepath.Join(platform.dir, "broken.yaml"), fmt.Sprintf("apiVersion: kongdao.io/v1\nkind: Robot\nmetadata: {name: broken}\nspec: {url: \"${file:%s}\"}\n", bad))
	until(t, "the broken robot is named", func() error { return has(string(must(os.ReadFile(p.log))(t)), "broken") })

	seen.everyAnswer(p)
	for _, line := range []string{
		"doctor -c " + file, "check " + platform.dir, "check -c " + file + " " + platform.dir, "explain GET http://api.example.com/feed", "fn list -o json",
		"alert list", "alert list --groups -o json", "alert show Faulty", "alert test refuses", "alert test odd", "alert test --route alertname=Faulty to=others",
		"alert silence Faulty --dry-run -o json", "gateway list", "collector status", "completeness",
	} {
		_, out, stderr := run(t, data, strings.Fields(line)...)
		seen.text("kongdao "+line, out+stderr)
	}
	testkit.Must(t, p.cmd.Process.Signal(syscall.SIGQUIT)) // as a panic, with the stacks of all
	<-p.done
	p.gone()
	said := string(must(os.ReadFile(p.log))(t))
	wants(t, said, "goroutine ", "level=DEBUG")
	seen.text("log and stacks", said)
	seen.files(data)
	t.Logf("looked at %v", seen.looked)
}

// searched looks for marks, and counts where.
type searched struct {
	t      *testing.T
	looked map[string]int
}

// text fails the test where a secret is in it, whole or as the password of a header.
func (s searched) text(where, text string) {
	s.t.Helper()
	if i := outside.FindStringIndex(text); i != nil {
		s.t.Errorf("%s has %s: …%s…", where, text[i[0]:i[1]], text[max(0, i[0]-300):min(len(text), i[1]+100)])
	}
}

// outside is what may not come out: marks, signatures, and what basic authentication
// makes of a password.
var outside = regexp.MustCompile(secretMark + "|sign=[^<]|" + base64.StdEncoding.EncodeToString([]byte("u:"+secretMark+"-basic")))

func (s searched) fetch(method, address, path string) string {
	req, err := http.NewRequest(method, "http://"+address+path, nil)
	if err != nil {
		s.t.Error(err)
		return ""
	}
	res, err := httpClient.Do(req)
	if err != nil {
		s.t.Errorf("%s %s: %v", method, path, err)
		return ""
	}
	defer res.Body.Close()
	b, _ := io.ReadAll(res.Body)
	s.text(method+" "+path, string(b))
	return string(b)
}

// everyAnswer asks all that the running system can be asked without changing it.
func (s searched) everyAnswer(p *process) {
	var doc struct {
		Paths map[string]map[string]any
	}
	testkit.Must(s.t, json.Unmarshal([]byte(s.fetch(http.MethodGet, p.addr.API, "/api/v1/openapi.json")), &doc))
	for path, methods := range doc.Paths {
		if methods["get"] == nil || strings.Contains(path, "tail") || strings.Contains(path, "watch") || strings.Contains(path, "follow") {
			continue
		}
		s.fetch(http.MethodGet, p.addr.API, strings.NewReplacer("{name}", "feed", "{zone}", "zb-a", "{id}", "x", "{run}", "x").Replace(path))
		s.looked["api"]++
	}
	for _, path := range []string{"status", "alerts", "alerts/groups", "silences", "receivers"} {
		s.fetch(http.MethodGet, p.addr.Alertmanager, "/api/v2/"+path)
	}
	for _, path := range []string{"rules", "alerts", "targets", "status/buildinfo", "metadata", "labels", "query?query=%7B__name__%21%3D%22%22%7D"} {
		s.fetch(http.MethodGet, p.addr.Prometheus, "/api/v1/"+path)
	}
	s.fetch(http.MethodGet, p.addr.API, "/metrics")
	s.fetch(http.MethodGet, p.addr.Metrics, "/metrics")
	s.fetch(http.MethodGet, p.addr.GatewayAdmin, "/config_dump")
	if s.looked["api"] < 20 {
		s.t.Errorf("asked %d paths of the API only", s.looked["api"])
	}
}

// files looks at all that is kept. Messages and alerts are for the owner alone.
func (s searched) files(data string) {
	testkit.Must(s.t, filepath.WalkDir(data, func(name string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		s.looked["files"]++
		if b := must(os.ReadFile(name))(s.t); bytes.Contains(b, []byte(secretMark)) {
			s.t.Errorf("%s has a secret", name)
		}
		return nil
	}))
	for _, part := range []string{"outbox", "ledger", "alertmanager"} {
		dir := filepath.Join(data, "alerting", part)
		files := append(must(filepath.Glob(filepath.Join(dir, "*.log")))(s.t), dir)
		for _, name := range append(files, must(filepath.Glob(filepath.Join(dir, "*.events")))(s.t)...) {
			if info := must(os.Stat(name))(s.t); info.Mode().Perm()&0o077 != 0 {
				s.t.Errorf("%s is for others, too: %s", name, info.Mode())
			}
		}
	}
}

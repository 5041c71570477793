package alerting_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/api"
)

// peerVariable names a binary of prometheus-webhook-dingtalk. Without it a stand-in
// does what its sources of August 2022 do: one message for each webhook, at once; whatever
// is not errcode 0 is answered with 400, which Alertmanager does not try again.
const peerVariable = "KONGDAO_PEER_DINGTALK"

func peerStorm(b *testing.B, s storm) {
	for b.Loop() {
		robot := stormRobot(b, s.robots)
		address := peer(b, robot.URL(""), s.robots)
		begin := time.Now()
		var sending sync.WaitGroup
		slots := make(chan struct{}, 64)
		for g := range s.groups {
			time.Sleep(time.Until(begin.Add(time.Duration(g) * time.Second / time.Duration(s.groups))))
			slots <- struct{}{}
			sending.Go(func() {
				defer func() { <-slots }()
				s.webhook(address, g)
			})
		}
		sending.Wait()
		told := map[string]bool{}
		for _, m := range robot.Messages() {
			for _, name := range stormMark.FindAllString(m.Title+m.Text, -1) {
				told[name] = true
			}
		}
		r := s.judge(robot, begin) // its messages have no marks
		b.ReportMetric(float64(s.groups-len(told)), "lost")
		b.ReportMetric(float64(r.throttled), "130101")
		b.ReportMetric(float64(r.messages), "messages")
	}
}

// webhook posts a group as Alertmanager does: what is answered with 4xx is lost until
// the group's next interval, while the robot is silent for ten minutes.
func (s storm) webhook(address string, group int) {
	var alerts []map[string]any
	for _, a := range s.alerts(group, time.Now()) {
		a["status"] = "firing"
		alerts = append(alerts, a)
	}
	labels := map[string]string{"alertname": groupName(group)}
	text, _ := json.Marshal(map[string]any{
		"version": "4", "groupKey": groupName(group), "status": "firing", "receiver": "storm", "groupLabels": labels,
		"commonLabels": labels, "commonAnnotations": map[string]string{}, "externalURL": "http://am", "alerts": alerts,
	})
	for range 3 {
		res, err := http.Post(fmt.Sprintf("%s/dingtalk/r%d/send", address, group%s.robots), "application/json", bytes.NewReader(text))
		if err == nil {
			res.Body.Close()
			if res.StatusCode < 500 {
				return
			}
		}
		time.Sleep(100 * time.Millisecond)
	}
}

func peer(b *testing.B, url string, robots int) string {
	if binary := os.Getenv(peerVariable); binary != "" {
		return peerProcess(b, binary, url, robots)
	}
	clients := map[string]*dingtalk.Client{}
	for i := range robots {
		name := fmt.Sprint("r", i)
		c, err := dingtalk.NewClient(dingtalk.Robot{Name: name, URL: api.Secret(url + name)}, nil)
		if err != nil {
			b.Fatal(err)
		}
		clients[name] = c
	}
	mux := http.NewServeMux()
	mux.HandleFunc("POST /dingtalk/{robot}/send", func(w http.ResponseWriter, r *http.Request) {
		var in struct{ GroupLabels map[string]string }
		if err := json.NewDecoder(r.Body).Decode(&in); err != nil {
			http.Error(w, "Bad Request", http.StatusBadRequest)
			return
		}
		name := in.GroupLabels["alertname"]
		if err := clients[r.PathValue("robot")].Send(r.Context(), dingtalk.Message{Title: name, Text: name}); err != nil {
			http.Error(w, "Unable to talk to DingTalk", http.StatusBadRequest)
		}
	})
	server := httptest.NewServer(mux)
	b.Cleanup(server.Close)
	return server.URL
}

func peerProcess(b *testing.B, binary, url string, robots int) string {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		b.Fatal(err)
	}
	address := l.Addr().String()
	l.Close()
	var cfg strings.Builder
	cfg.WriteString("targets:\n")
	for i := range robots {
		fmt.Fprintf(&cfg, "  r%d: {url: %q}\n", i, fmt.Sprint(url, "r", i))
	}
	file := filepath.Join(b.TempDir(), "peer.yml")
	if err := os.WriteFile(file, []byte(cfg.String()), 0o600); err != nil {
		b.Fatal(err)
	}
	// Built from its sources, in their folder: it reads its templates from there.
	cmd := exec.CommandContext(b.Context(), binary, "--config.file="+file, "--web.listen-address="+address)
	cmd.Dir = filepath.Dir(binary)
	if err := cmd.Start(); err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { _ = cmd.Process.Kill(); _ = cmd.Wait() })
	for range 300 {
		if c, err := net.Dial("tcp", address); err == nil {
			c.Close()
			return "http://" + address
		}
		time.Sleep(20 * time.Millisecond)
	}
	b.Fatal("the peer does not listen")
	return ""
}

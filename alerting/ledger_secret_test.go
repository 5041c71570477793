package alerting_test

import (
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/alerting"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/alerting/ledger"
	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/testkit"
)

// Neither the ledger nor any file of alerting holds the secrets of robots and
// receivers, whatever fails; and nobody else may read what messages say.
func TestLedgerHoldsNoSecret(t *testing.T) {
	const token, hook = "TOKENcafe", "HOOKcafe"
	target, robot := serveGauges(t), dingtalktest.Start(t, dingtalktest.Config{Secret: "changed", Tokens: []string{token}})
	cfg := config(t.TempDir(), target.addr(), robot)
	cfg.Robots = []alerting.Robot{{Name: "oncall", URL: api.Secret(robot.URL(token)), Secret: secret}}
	cfg.Channels = []alerting.Channel{{Name: "team", Robots: []string{"oncall"}, Fallback: "hook"}}
	cfg.Alertmanager = strings.Replace(strings.ReplaceAll(quick, "dingtalk", "team"), "receivers: [", "receivers: [{name: hook, webhook_configs: [{url: \"http://127.0.0.1:1/x?key="+hook+"\"}]}, ", 1)
	a := start(t, cfg)
	target.broken.Store(1)
	var events []ledger.Event
	testkit.Eventually(t, "both to have failed", func() bool {
		var err error
		if events, _, err = a.Ledger().Read(1000); err != nil {
			t.Fatal(err)
		}
		failed := 0
		for _, e := range events {
			if e.Kind == ledger.Refused || e.Kind == ledger.Unanswered {
				failed++
			}
		}
		return failed >= 2
	})
	text, err := json.Marshal(events)
	if err != nil {
		t.Fatal(err)
	}
	a.stop()
	clean := func(where, text string) {
		for _, s := range []string{token, hook, secret} {
			if strings.Contains(text, s) {
				t.Errorf("%s holds the secret %s", where, s)
			}
		}
	}
	clean("the ledger", string(text))
	for _, dir := range []string{"outbox", "ledger"} {
		err := filepath.WalkDir(filepath.Join(cfg.Dir, dir), func(name string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() {
				return err
			}
			info, err := d.Info()
			if err != nil {
				return err
			}
			if name != filepath.Join(cfg.Dir, "outbox", "lock") && info.Mode().Perm()&0o077 != 0 {
				t.Errorf("%s has mode %v", name, info.Mode())
			}
			content, err := os.ReadFile(name)
			clean(name, string(content))
			return err
		})
		if err != nil {
			t.Error(err)
		}
	}
}

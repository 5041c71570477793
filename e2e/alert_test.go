package e2e

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/go-openapi/strfmt"
	am "github.com/prometheus/alertmanager/api/v2/client"
	"github.com/prometheus/alertmanager/api/v2/client/alert"
	"github.com/prometheus/alertmanager/api/v2/client/general"
	"github.com/prometheus/alertmanager/api/v2/client/silence"
	"github.com/prometheus/alertmanager/api/v2/models"

	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/internal/demo/fleet"
)

// TestAlertmanager uses the running system as amtool does, by Alertmanager's own
// client, and as on-call does, by kongdao alert and a robot.
func TestAlertmanager(t *testing.T) {
	const secret = "SEC-e2e"
	robot := dingtalktest.Start(t, dingtalktest.Config{Secret: secret})
	platform := newPlatform(t, fleet.Rates{}, functions("feed")...)
	file := filepath.Join(t.TempDir(), "robot.secret")
	write(t, file, secret)
	write(t, filepath.Join(platform.dir, "robot.yaml"), fmt.Sprintf("apiVersion: kongdao.io/v1\nkind: Robot\nmetadata: {name: dingtalk}\nspec: {url: %q, secret: \"${file:%s}\"}\n", robot.URL("token"), file))
	data := t.TempDir()
	p := up(t, data, platform.dir)
	amtool := newAmtool(t, p.addr.Alertmanager)
	amtool.versioned()

	amtool.fire("Handmade", "team", "rail")
	amtool.wants("Handmade", models.AlertStatusStateActive)
	code, out, stderr := run(t, data, "alert", "list", "-o", "json")
	var listed models.GettableAlerts
	if err := json.Unmarshal([]byte(out), &listed); code != 0 || err != nil || len(listed) != 1 || listed[0].Labels["team"] != "rail" {
		t.Errorf("alert list: exit code %d, %v\n%s%s", code, err, out, stderr)
	}
	message(t, robot, "Handmade")

	code, out, stderr = run(t, data, "alert", "silence", "team=rail", "--for", "10m", "--comment", "drill")
	if code != 0 || !strings.Contains(out, "10m") {
		t.Errorf("alert silence: exit code %d\n%s%s", code, out, stderr)
	}
	amtool.wants("Handmade", models.AlertStatusStateSuppressed)
	amtool.expire()
	amtool.wants("Handmade", models.AlertStatusStateActive)

	before := len(robot.Messages())
	if code, out, stderr = run(t, data, "alert", "test", "dingtalk"); code != 0 || len(robot.Messages()) != before+1 {
		t.Errorf("alert test: exit code %d, %d messages\n%s%s", code, len(robot.Messages())-before, out, stderr)
	}
	robot.Inject(dingtalktest.Fault{Kind: dingtalktest.Errcode, Code: 310000})
	if code, out, stderr = run(t, data, "alert", "test", "dingtalk"); code != 1 || !strings.Contains(stderr, "310000") {
		t.Errorf("alert test that the robot refuses: exit code %d\n%s%s", code, out, stderr)
	}
	if code, _, stderr = run(t, data, "alert", "test", "nobody"); code != 1 || !strings.Contains(stderr, "nobody") {
		t.Errorf("alert test of no robot: exit code %d\n%s", code, stderr)
	}
	if code, _, stderr = run(t, data, "alert", "silence", "team=~("); code != 2 {
		t.Errorf("a matcher that does not parse: exit code %d\n%s", code, stderr)
	}
	p.stop()
	if code, _, stderr = run(t, data, "alert", "list"); code != 1 || !strings.Contains(stderr, "kongdao up") {
		t.Errorf("alert list without a system: exit code %d\n%s", code, stderr)
	}
}

// message waits for the robot to be told of an alert.
func message(t *testing.T, robot *dingtalktest.Server, name string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	if _, err := robot.Wait(ctx, func(all []dingtalktest.Received) bool {
		for _, m := range all {
			if strings.Contains(m.Text, name) {
				return true
			}
		}
		return false
	}); err != nil {
		t.Errorf("message about %s: %v; refused: %v", name, err, robot.Refusals())
	}
}

// amtool is Alertmanager's client.
type amtool struct {
	t   *testing.T
	api *am.AlertmanagerAPI
}

func newAmtool(t *testing.T, address string) amtool {
	t.Helper()
	if _, _, err := net.SplitHostPort(address); err != nil {
		t.Fatal(err)
	}
	return amtool{t, am.NewHTTPClientWithConfig(strfmt.Default, am.DefaultTransportConfig().WithHost(address).WithSchemes([]string{"http"}))}
}

func (a amtool) versioned() {
	a.t.Helper()
	ok, err := a.api.General.GetStatus(general.NewGetStatusParams())
	if err != nil {
		a.t.Fatal(err)
	}
	if ok.Payload.Config == nil || *ok.Payload.Config.Original == "" {
		a.t.Error("status without configuration")
	}
}

// fire posts an alert that lasts.
func (a amtool) fire(name, label, value string) {
	a.t.Helper()
	posted := &models.PostableAlert{
		StartsAt: strfmt.DateTime(time.Now()), EndsAt: strfmt.DateTime(time.Now().Add(time.Hour)),
		Annotations: models.LabelSet{"summary": "posted by hand"},
		Alert:       models.Alert{Labels: models.LabelSet{"alertname": name, label: value, "severity": "critical"}},
	}
	if _, err := a.api.Alert.PostAlerts(alert.NewPostAlertsParams().WithAlerts(models.PostableAlerts{posted})); err != nil {
		a.t.Fatal(err)
	}
}

// wants waits until an alert is in a state.
func (a amtool) wants(name, state string) {
	a.t.Helper()
	until(a.t, name+" is "+state, func() error {
		ok, err := a.api.Alert.GetAlerts(alert.NewGetAlertsParams().WithFilter([]string{"alertname=" + name}))
		if err != nil {
			return err
		}
		if len(ok.Payload) != 1 || *ok.Payload[0].Status.State != state {
			return fmt.Errorf("%d alerts: %+v", len(ok.Payload), ok.Payload)
		}
		return nil
	})
}

// expire ends the only silence there is.
func (a amtool) expire() {
	a.t.Helper()
	ok, err := a.api.Silence.GetSilences(silence.NewGetSilencesParams())
	if err == nil && len(ok.Payload) != 1 {
		err = errors.New("want one silence")
	}
	if err != nil {
		a.t.Fatal(err)
	}
	if _, err := a.api.Silence.DeleteSilence(silence.NewDeleteSilenceParams().WithSilenceID(strfmt.UUID(*ok.Payload[0].ID))); err != nil {
		a.t.Fatal(err)
	}
}

package engine

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/alertmanager/alert"
	"github.com/prometheus/alertmanager/eventrecorder"
	"github.com/prometheus/alertmanager/featurecontrol"
	"github.com/prometheus/alertmanager/marker"
	"github.com/prometheus/alertmanager/notify"
	"github.com/prometheus/alertmanager/silence"
	pb "github.com/prometheus/alertmanager/silence/silencepb"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/common/model"
	"google.golang.org/protobuf/types/known/timestamppb"
)

// The quick way silences exactly what Alertmanager's own does, and says the same
// about each alert, while silences come and go.
func TestSilencerAgreesWithAlertmanagers(t *testing.T) {
	r := rand.New(rand.NewPCG(1, 2))
	reg := prometheus.NewRegistry()
	all, err := silence.New(silence.Options{Retention: time.Hour, Metrics: reg, EventRecorder: eventrecorder.NopRecorder(), Logger: slog.New(slog.DiscardHandler)})
	if err != nil {
		t.Fatal(err)
	}
	quick := newSilencer(all, slog.New(slog.DiscardHandler))
	slow := silence.NewSilencer(all, slog.New(slog.DiscardHandler), eventrecorder.NopRecorder())
	mute := notify.NewMuteStage(quick.Silencer, notify.NewMetrics(reg, featurecontrol.NoopFlags{}))
	var alerts []*alert.Alert
	for i := range 200 {
		set := model.LabelSet{"n": model.LabelValue(fmt.Sprint(i))}
		for _, name := range []model.LabelName{"a", "b", "c"} {
			if v := r.IntN(5); v > 0 {
				set[name] = model.LabelValue(fmt.Sprint(v))
			}
		}
		alerts = append(alerts, &alert.Alert{Alert: model.Alert{Labels: set}})
	}
	silenced := 0
	for range 40 {
		s := randomSilence(r)
		if err := all.Set(t.Context(), s); err != nil {
			t.Fatal(err)
		}
		if r.IntN(3) == 0 {
			if err := all.Expire(t.Context(), s.Id); err != nil {
				t.Fatal(err)
			}
		}
		a, b := marker.NewAlertMarker(), marker.NewAlertMarker()
		var want []*alert.Alert
		for _, x := range alerts {
			if !slow.Mutes(marker.WithContext(t.Context(), a), x.Labels) {
				want = append(want, x)
			}
		}
		_, got, err := quick.exec(marker.WithContext(t.Context(), b), slog.New(slog.DiscardHandler), mute, alerts)
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(numbers(want), numbers(got)); diff != "" {
			t.Fatalf("not silenced (-Alertmanager's +ours):\n%s", diff)
		}
		for _, x := range alerts {
			if diff := cmp.Diff(a.Status(x.Fingerprint()), b.Status(x.Fingerprint())); diff != "" {
				t.Fatalf("%s (-Alertmanager's +ours):\n%s", x.Labels, diff)
			}
			if quick.Mutes(context.Background(), x.Labels) != slow.Mutes(context.Background(), x.Labels) {
				t.Fatalf("%s: asked alone they disagree", x.Labels)
			}
		}
		silenced += len(alerts) - len(got)
	}
	if silenced == 0 {
		t.Error("nothing was silenced, the test proves nothing")
	}
}

func randomSilence(r *rand.Rand) *pb.Silence {
	set := &pb.MatcherSet{}
	for range 1 + r.IntN(3) {
		v := r.IntN(5)
		m := &pb.Matcher{Name: string(rune('a' + r.IntN(3))), Type: pb.Matcher_Type(r.IntN(4)), Pattern: fmt.Sprint(v)}
		switch m.Type {
		case pb.Matcher_REGEXP, pb.Matcher_NOT_REGEXP:
			m.Pattern = fmt.Sprintf("[%d%d]", v, r.IntN(5))
		case pb.Matcher_EQUAL:
			if v == 0 {
				m.Pattern = "" // has no such label
			}
		}
		set.Matchers = append(set.Matchers, m)
	}
	set.Matchers = append(set.Matchers, &pb.Matcher{Name: "n", Type: pb.Matcher_REGEXP, Pattern: ".+"})
	now := time.Now()
	return &pb.Silence{
		MatcherSets: []*pb.MatcherSet{set}, StartsAt: timestamppb.New(now), EndsAt: timestamppb.New(now.Add(time.Hour)),
		CreatedBy: "ann", Comment: "known",
	}
}

func numbers(alerts []*alert.Alert) (n []string) {
	for _, a := range alerts {
		n = append(n, string(a.Labels["n"]))
	}
	return n
}

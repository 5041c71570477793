package dingtalk_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/alerting/dingtalk"
	"github.com/kongdao/kongdao/alerting/dingtalk/dingtalktest"
	"github.com/kongdao/kongdao/api"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const (
	secret = "SEC0123456789"
	token  = "tok-987"
)

func client(t *testing.T, s *dingtalktest.Server, secret api.Secret) *dingtalk.Client {
	t.Helper()
	h := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 500 * time.Millisecond}
	c, err := dingtalk.NewClient(dingtalk.Robot{Name: "oncall", URL: api.Secret(s.URL(token)), Secret: secret}, h)
	if err != nil {
		t.Fatal(err)
	}
	return c
}

// TestSign compares with another implementation,
// printf '1700000000000\nSEC0123456789' | openssl dgst -sha256 -hmac SEC0123456789 -binary | base64.
func TestSign(t *testing.T) {
	const want = "VloEIlTtJU6a/AGf2pud1WypXdicIlyQAOpspu6OP6s="
	if got := dingtalk.Sign(time.UnixMilli(1700000000000), secret); got != want {
		t.Errorf("signature %s, want %s", got, want)
	}
}

func TestSendIsAccepted(t *testing.T) {
	s := dingtalktest.Start(t, dingtalktest.Config{Secret: secret, Tokens: []string{token}})
	m := dingtalk.Message{Title: "标题", Text: "### a \"quoted\" <text> & more\n@13800000000", AtMobiles: []string{"13800000000"}}
	if err := client(t, s, secret).Send(t.Context(), m); err != nil {
		t.Fatal(err)
	}
	got := s.Messages()[0]
	if got.Title != m.Title || got.Text != m.Text || got.AtMobiles[0] != m.AtMobiles[0] || got.AtAll {
		t.Errorf("received %+v, want %+v", got, m)
	}
}

// The robot takes each shape, and knows whom to ring by number or id.
func TestShapesOfMessages(t *testing.T) {
	s := dingtalktest.Start(t, dingtalktest.Config{Secret: secret, Tokens: []string{token}})
	c := client(t, s, secret)
	buttons := []dingtalk.Link{{Text: "Claim", URL: "https://h/1"}}
	for _, m := range []dingtalk.Message{
		{Type: dingtalk.Text, Text: "x @13800000000 @li4", AtMobiles: []string{"13800000000"}, AtUsers: []string{"li4"}},
		{Type: dingtalk.Markdown, Title: "t", Text: "x @+852-12345678", AtMobiles: []string{"+852-12345678"}},
		{Type: dingtalk.ActionCard, Title: "t", Text: "x", Buttons: buttons},
		{Type: dingtalk.ActionCard, Title: "t", Text: "x"}, // a card needs a button
	} {
		if err := c.Send(t.Context(), m); err != nil {
			t.Fatalf("%+v: %v", m, err)
		}
	}
	got := s.Messages()
	if got[0].Type != "text" || got[0].AtMobiles[0] != "13800000000" || got[0].AtUsers[0] != "li4" {
		t.Errorf("text: %+v", got[0])
	}
	if got[1].Type != "markdown" || got[1].AtMobiles[0] != "+852-12345678" || got[1].AtUsers != nil {
		t.Errorf("markdown: %+v", got[1])
	}
	if got[2].Type != "actionCard" || got[2].Buttons[0] != (dingtalktest.Button{Title: "Claim", ActionURL: "https://h/1"}) {
		t.Errorf("card: %+v", got[2])
	}
	if got[3].Type != "markdown" {
		t.Errorf("card without buttons: %+v", got[3])
	}
}

func TestWhatAnotherTryCanHelp(t *testing.T) {
	cases := []struct {
		name  string
		fault dingtalktest.Fault
		kind  dingtalk.Kind
		code  int
	}{
		{"a server error passes", dingtalktest.Fault{Kind: dingtalktest.HTTPStatus, Code: 500}, dingtalk.Transient, 0},
		{"a busy gateway passes", dingtalktest.Fault{Kind: dingtalktest.HTTPStatus, Code: 429}, dingtalk.Transient, 0},
		{"an address that is wrong stays wrong", dingtalktest.Fault{Kind: dingtalktest.HTTPStatus, Code: 404}, dingtalk.Permanent, 0},
		{"a hang passes", dingtalktest.Fault{Kind: dingtalktest.Hang}, dingtalk.Transient, 0},
		{"an answer that got lost is tried again", dingtalktest.Fault{Kind: dingtalktest.LoseAnswer}, dingtalk.Transient, 0},
		{"a busy system passes, HTTP 200 or not", dingtalktest.Fault{Kind: dingtalktest.Errcode, Code: -1}, dingtalk.Transient, -1},
		{"too fast", dingtalktest.Fault{Kind: dingtalktest.Errcode, Code: 130101}, dingtalk.Throttled, 130101},
		{"too long stays too long", dingtalktest.Fault{Kind: dingtalktest.Errcode, Code: 460101}, dingtalk.Permanent, 460101},
		{"a wrong signature stays wrong", dingtalktest.Fault{Kind: dingtalktest.Errcode, Code: 310000}, dingtalk.Permanent, 310000},
		{"an unknown code is tried again", dingtalktest.Fault{Kind: dingtalktest.Errcode, Code: 987654}, dingtalk.Transient, 987654},
	}
	s := dingtalktest.Start(t, dingtalktest.Config{Secret: secret, Tokens: []string{token}})
	c := client(t, s, secret)
	for _, tc := range cases {
		t.Run(tc.name, func(t *testing.T) {
			s.Inject(tc.fault)
			err := c.Send(t.Context(), dingtalk.Message{Title: "t", Text: "x"})
			e, ok := errors.AsType[*dingtalk.SendError](err)
			if !ok || e.Kind != tc.kind || e.Code != tc.code {
				t.Fatalf("error %v, want %s with errcode %d", err, tc.kind, tc.code)
			}
			if dingtalk.KindOf(fmt.Errorf("wrapped: %w", err)) != tc.kind {
				t.Error("kind is lost by wrapping")
			}
		})
	}
}

// Whatever goes wrong, neither token nor secret nor signature is said.
func TestErrorsTellNoSecret(t *testing.T) {
	s := dingtalktest.Start(t, dingtalktest.Config{Secret: "other", Tokens: []string{token}})
	gone, cancel := context.WithCancel(t.Context())
	cancel()
	m := dingtalk.Message{Title: "t", Text: "x"}
	dead := dingtalk.Robot{Name: "r", URL: "http://127.0.0.1:1/robot/send?access_token=" + token, Secret: secret}
	deadClient, err := dingtalk.NewClient(dead, nil)
	if err != nil {
		t.Fatal(err)
	}
	bad := dingtalk.Robot{Name: "r", URL: api.Secret("://" + token), Secret: secret}
	errs := []error{
		client(t, s, secret).Send(t.Context(), m), client(t, s, secret).Send(gone, m),
		deadClient.Send(t.Context(), m), bad.Validate(),
		dingtalk.Robot{Name: "r", URL: api.Secret("http://h/?x=" + token)}.Validate(),
	}
	for _, err := range errs {
		if err == nil {
			t.Fatal("no error")
		}
		for _, text := range []string{err.Error(), fmt.Sprintf("%+v %#v", err, bad)} {
			for _, hidden := range []string{token, secret, "sign="} {
				if strings.Contains(text, hidden) {
					t.Errorf("%q tells %q", text, hidden)
				}
			}
		}
	}
}

func TestRobotEchoesItsToken(t *testing.T) {
	// A proxy in between may quote the request.
	h := &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		w := newAnswer(`{"errcode":40001,"errmsg":"bad access_token ` + token + ` and ` + secret + `"}`)
		return w, nil
	})}
	c, err := dingtalk.NewClient(dingtalk.Robot{Name: "r", URL: "http://h/robot/send?access_token=" + token, Secret: secret}, h)
	if err != nil {
		t.Fatal(err)
	}
	err = c.Send(t.Context(), dingtalk.Message{Title: "t", Text: "x"})
	if err == nil || strings.Contains(err.Error(), token) || strings.Contains(err.Error(), secret) {
		t.Errorf("error %v", err)
	}
}

func TestAnswersAreNotFollowed(t *testing.T) {
	other := dingtalktest.Start(t, dingtalktest.Config{Tokens: []string{token}})
	s := httptest.NewServer(http.RedirectHandler(other.URL(token), http.StatusTemporaryRedirect))
	defer s.Close()
	c, err := dingtalk.NewClient(dingtalk.Robot{Name: "r", URL: api.Secret(s.URL + "/robot/send?access_token=" + token)}, nil)
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Send(t.Context(), dingtalk.Message{Title: "t", Text: "x"}); dingtalk.KindOf(err) != dingtalk.Transient || err == nil {
		t.Errorf("error %v", err)
	}
	if n := len(other.Messages()); n != 0 {
		t.Error("the message followed a redirect")
	}
}

package clickhouse_test

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"go.uber.org/goleak"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/internal/clickhouse"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const password = "s3cr3t-p4ss"

func TestParseDSN(t *testing.T) {
	for _, c := range []struct {
		dsn  string
		want clickhouse.Options
	}{
		{
			"clickhouse://kongdao:" + password + "@ch-1:9000,ch-2:9000/logs?max_open_conns=3&dial_timeout=2s&max_threads=4",
			clickhouse.Options{
				Addr: []string{"ch-1:9000", "ch-2:9000"}, Database: "logs", User: "kongdao", Password: password,
				MaxConns: 3, DialTimeout: 2 * time.Second, Settings: map[string]any{"max_threads": 4},
			},
		},
		{"tcp://127.0.0.1:9000", clickhouse.Options{Addr: []string{"127.0.0.1:9000"}}},
		{"clickhouse://ch:9440?secure=true", clickhouse.Options{Addr: []string{"ch:9440"}, TLS: &tls.Config{}}},
	} {
		got, err := clickhouse.ParseDSN(c.dsn)
		if err != nil {
			t.Errorf("%s: %v", c.dsn, err)
		}
		if diff := cmp.Diff(c.want, got, cmpopts.EquateEmpty(), cmpopts.IgnoreUnexported(tls.Config{}), cmpopts.IgnoreFields(clickhouse.Options{}, "Dial")); diff != "" {
			t.Errorf("%s (-want +got):\n%s", c.dsn, diff)
		}
	}
}

func TestBadDSNHidesThePassword(t *testing.T) {
	for _, dsn := range []string{
		"",
		"ch:9000",
		"http://kongdao:" + password + "@ch:8123/",
		"clickhouse://kongdao:" + password + "@ch/logs",
		"clickhouse://kongdao:" + password + "@/logs",
		"clickhouse://kongdao:" + password + "/x@ch:9000/",
		"clickhouse://kongdao:" + password + "%zz@ch:9000/",
		"clickhouse://kongdao:" + password + "@ch:port/",
		"clickhouse://kongdao:" + password + "@ch:9000/?dial_timeout=soon",
		"clickhouse://ch/?password=" + password,
	} {
		o, err := clickhouse.ParseDSN(dsn)
		if err == nil {
			t.Errorf("%q was read as %v", dsn, o)
			continue
		}
		if strings.Contains(err.Error(), password) || !strings.HasPrefix(err.Error(), "clickhouse dsn: ") {
			t.Errorf("%q: %v", dsn, err)
		}
	}
}

func FuzzParseDSN(f *testing.F) {
	f.Add("clickhouse://kongdao:", "@ch:9000/logs?max_threads=4")
	f.Add("tcp://", "%zz@a,b:1/?secure=1")
	f.Fuzz(func(t *testing.T, before, after string) {
		o, err := clickhouse.ParseDSN(before + password + after)
		if err != nil && strings.HasPrefix(before, "clickhouse://") && strings.HasSuffix(before, ":") && strings.HasPrefix(after, "@") &&
			strings.Contains(err.Error(), password) {
			t.Errorf("the error repeats the password: %v", err)
		}
		if err == nil && o.Password.Reveal() == password && strings.Contains(o.String(), password) {
			t.Errorf("String repeats the password: %v", o)
		}
	})
}

func TestPasswordIsNotPrinted(t *testing.T) {
	o := clickhouse.Options{Addr: []string{"ch:9000"}, User: "kongdao", Password: password}
	var log bytes.Buffer
	slog.New(slog.NewTextHandler(&log, nil)).Info("x", "options", o)
	c, err := clickhouse.New(o)
	if err != nil {
		t.Fatal(err)
	}
	defer c.Close()
	for _, s := range []string{
		o.String(), log.String(), fmt.Sprintf("%v %+v %s %#v", o, o, o, o),
		fmt.Sprintf("%v %+v %#v", *c, c, c),
	} {
		if strings.Contains(s, password) {
			t.Errorf("printed: %s", s)
		}
	}
	if want := "clickhouse://kongdao:" + password + "@ch:9000/default"; o.DSN() != want {
		t.Errorf("DSN is %s, want %s", o.DSN(), want)
	}
	back, err := clickhouse.ParseDSN(clickhouse.Options{Addr: o.Addr, User: "a b", Password: "@/?#% +"}.DSN())
	if err != nil || back.User != "a b" || back.Password != api.Secret("@/?#% +") {
		t.Errorf("DSN of odd characters came back as %q, %q and %v", back.User, back.Password.Reveal(), err)
	}
}

func TestOpenSaysWhereItFailed(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	addr := l.Addr().String()
	l.Close()
	_, err = clickhouse.Open(context.Background(), clickhouse.Options{Addr: []string{addr}, Password: password})
	if err == nil || !strings.Contains(err.Error(), addr) || strings.Contains(err.Error(), password) {
		t.Errorf("got %v, want an error with the address and without the password", err)
	}
	if clickhouse.Code(err) != 0 {
		t.Errorf("code %d for a refused connection", clickhouse.Code(err))
	}
	if _, err := clickhouse.New(clickhouse.Options{}); err == nil {
		t.Error("a client without an address")
	}
}

func TestDialReplacesTheAddress(t *testing.T) {
	asked := errors.New("asked")
	_, err := clickhouse.Open(context.Background(), clickhouse.Options{
		Addr: []string{"ch:9000"},
		Dial: func(context.Context, string) (net.Conn, error) { return nil, asked },
	})
	if !errors.Is(err, asked) {
		t.Errorf("got %v, want the error of Dial", err)
	}
}

package envoy

import (
	"os"
	"strings"
	"testing"

	"github.com/kongdao/kongdao/xds/certs/certstest"
)

// TestAdminStaysOnLoopback: whoever reaches Envoy's administration can stop it.
func TestAdminStaysOnLoopback(t *testing.T) {
	for addr, ok := range map[string]bool{
		"127.0.0.1:0": true, "127.1.2.3:9": true, "[::1]:9": true, "localhost:9": true,
		"0.0.0.0:9": false, "[::]:9": false, "10.0.0.7:9": false, "gateway.test:9": false,
	} {
		c := DefaultConfig()
		c.Dir, c.XDSAddr, c.AdminAddr = t.TempDir(), "127.0.0.1:1", addr
		err := c.Validate()
		if ok != (err == nil) || !ok && !strings.Contains(err.Error(), "adminAddr") {
			t.Errorf("%s: %v", addr, err)
		}
	}
}

// TestSecretsAreWhole: a pair that does not fit is not handed to Envoy, what was
// there stays, and the files are for this user alone.
func TestSecretsAreWhole(t *testing.T) {
	dir := t.TempDir()
	ca := certstest.NewCA(t, "root")
	g := &Gateway{cfg: Config{Dir: t.TempDir()}, secrets: map[string]string{}}
	g.cfg.Mutual.Cert, g.cfg.Mutual.Key = ca.Issue([]string{"gw-1.default"}).Write(t, dir, "gw")
	g.cfg.Mutual.CA = dir + "/ca.pem"
	certstest.WriteFile(t, g.cfg.Mutual.CA, ca.PEM)
	if err := g.writeSecrets(); err != nil {
		t.Fatal(err)
	}
	file := secretFile(g.cfg.Dir, ownSecret)
	before, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Error(info.Mode(), err)
	}
	next := ca.Issue([]string{"gw-1.default"})
	certstest.WriteFile(t, g.cfg.Mutual.Cert, next.Cert)
	if err := g.writeSecrets(); err == nil || strings.Contains(err.Error(), "PRIVATE") {
		t.Errorf("certificate and key that do not fit: %v", err)
	}
	if now, err := os.ReadFile(file); err != nil || string(now) != string(before) {
		t.Error("the pair that was there is gone", err)
	}
	certstest.WriteFile(t, g.cfg.Mutual.Key, next.Key)
	if err := g.writeSecrets(); err != nil {
		t.Fatal(err)
	}
	if now, err := os.ReadFile(file); err != nil || string(now) == string(before) {
		t.Error("the new pair is not there", err)
	}
}

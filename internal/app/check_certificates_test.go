package app

import (
	"crypto/x509"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/registry"
	"github.com/kongdao/kongdao/xds/certs/certstest"
)

// TestCheckCertificates: each problem has its file, line and field.
func TestCheckCertificates(t *testing.T) {
	dir := t.TempDir()
	ca := certstest.NewCA(t, "root")
	good := ca.Issue([]string{"api.test"})
	good.Write(t, dir, "good")
	ca.Issue([]string{"old.test"}, func(c *x509.Certificate) { c.NotAfter = time.Now().Add(-time.Hour) }).Write(t, dir, "old")
	certstest.Pair{Cert: good.Cert, Key: ca.Issue([]string{"x.test"}).Key}.Write(t, dir, "mixed")
	text := ""
	for _, name := range []string{"good", "mixed", "nowhere", "old"} {
		text += strings.ReplaceAll(strings.ReplaceAll(`apiVersion: kongdao.io/v1
kind: Certificate
metadata: {name: NAME}
spec:
  hosts: [NAME.test]
  cert: ${file:DIR/NAME.crt}
  key: ${file:DIR/NAME.key}
---
`, "DIR", dir), "NAME", name)
	}
	text = strings.ReplaceAll(text, "[good.test]", "[api.test]")
	if err := os.WriteFile(filepath.Join(dir, "c.yaml"), []byte(strings.TrimSuffix(text, "---\n")), 0o600); err != nil {
		t.Fatal(err)
	}
	set, problems := registry.Load(dir)
	if len(problems) > 0 {
		t.Fatal(problems)
	}
	problems, missing := CheckCertificates(set, registry.Resolve)
	got := strings.ReplaceAll(problems.Error(), dir+"/", "")
	for i, want := range []string{
		"c.yaml:13: spec.hosts: the certificate is not good for mixed.test, but for api.test",
		"c.yaml:15: spec.key: is the key of another certificate",
		"c.yaml:30: spec.cert: expired at",
	} {
		if lines := strings.Split(got, "\n"); len(lines) != 3 || !strings.HasPrefix(lines[i], want) {
			t.Errorf("got %s\nwant line %d %q", got, i, want)
		}
	}
	if len(missing) != 1 || !strings.Contains(missing[0], "certificate nowhere: secret ${file:") || strings.Contains(missing[0], "\n") {
		t.Errorf("missing: %q", missing)
	}
}

package cli

import (
	"fmt"
	"strings"
	"time"

	"github.com/kongdao/kongdao/internal/app"
	"github.com/kongdao/kongdao/internal/config"
	"github.com/kongdao/kongdao/registry"
	"github.com/kongdao/kongdao/xds"
)

// soon is when a certificate that ends is worth a finding, as in the alert.
const soon = 14 * 24 * time.Hour

const remedyCertificate = "put a new certificate and its key into the place of the files; see docs/runbooks/certificate.md"

// certificatesOf are those that the running gateways show.
func certificatesOf(state xds.State) (found []finding) {
	for _, c := range state.Certificates {
		f := finding{Name: "certificate", OK: true, Found: fmt.Sprintf("%s for %s, until %s", c.Name, strings.Join(c.Names, ", "), c.NotAfter.Format(time.DateOnly))}
		switch {
		case c.NotAfter.IsZero():
			f.OK, f.Found = false, fmt.Sprintf("%s (%s): none is in force: %s", c.Name, c.Source, c.Problem)
		case c.Problem != "":
			f.OK, f.Found = false, fmt.Sprintf("%s (%s): %s; the one until %s still is in force", c.Name, c.Source, c.Problem, c.NotAfter.Format(time.DateOnly))
		case time.Until(c.NotAfter) < soon:
			f.OK = false
		}
		if !f.OK {
			f.Remedy = remedyCertificate
		}
		found = append(found, f)
	}
	return found
}

// checkCertificates looks at what the resources refer to, where the configuration
// has an entrance with TLS.
func checkCertificates(cfg config.Config) (found []finding) {
	if cfg.Listen.GatewayTLS == "" {
		return nil
	}
	set, _ := registry.Load(cfg.ResourcesDir)
	problems, missing := app.CheckCertificates(set, registry.Resolve)
	for _, p := range problems {
		found = append(found, finding{Name: "certificate file", Found: p.String(), Remedy: remedyCertificate})
	}
	for _, text := range missing {
		found = append(found, finding{Name: "certificate file", Found: text, Remedy: remedyCertificate})
	}
	return found
}

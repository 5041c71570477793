package explain

import (
	"net/http"

	"github.com/kongdao/kongdao/xds/model"
)

// redirected answers a request without TLS where the gateway wants it with. That is
// decided at the entrance, before any function.
func redirected(w *model.World, a *Answer) bool {
	if w.TLS == nil || !w.TLS.Redirect || a.request.Scheme != "http" {
		return false
	}
	a.Status, a.Reason = http.StatusPermanentRedirect, "without TLS the gateway sends everybody to https (gateway.tls.plain: redirect)"
	a.Filters = append(a.Filters, filterRouter)
	return true
}

package engine

import (
	"fmt"
	"net/http"
)

// reload reads the configuration anew, as an Alertmanager does when it is asked to.
func (e *Engine) reload(w http.ResponseWriter, _ *http.Request) {
	if e.cfg.Reload == nil {
		return
	}
	if err := e.cfg.Reload(); err != nil {
		http.Error(w, fmt.Sprintf("failed to reload config: %s", err), http.StatusInternalServerError)
	}
}

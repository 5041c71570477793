package cli

import (
	"fmt"
	"net/http"
	"os"
	"time"

	"github.com/kongdao/kongdao/xds/access"
)

// signingSecret is the variable with the secret of a consumer that signs. A flag
// would show it to everybody on the machine.
const signingSecret = "KONGDAO_SIGNING_SECRET"

// signed adds the signature that --sign asks for.
func (f invokeFlags) signed(req *http.Request) error {
	if f.sign == "" {
		return nil
	}
	secret := os.Getenv(signingSecret)
	if secret == "" {
		return fmt.Errorf("--sign %s: the variable %s is not set, want the consumer's secret", f.sign, signingSecret)
	}
	s := access.Sign(f.sign, []byte(secret), time.Now(), access.Message{
		Method: req.Method, Host: hostOf(req), Path: req.URL.RequestURI(), Body: []byte(f.body),
	})
	req.Header.Set("authorization", s.Header())
	return nil
}

// hostOf is the host that a request is sent with.
func hostOf(req *http.Request) string {
	if req.Host != "" {
		return req.Host
	}
	return req.URL.Host
}

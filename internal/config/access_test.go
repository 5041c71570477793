package config

import (
	"strings"
	"testing"
)

func TestAccessIsChecked(t *testing.T) {
	c := Default()
	c.Access = Access{TrustedProxies: []string{"10.0.0.0/8", "nonsense"}}
	err := c.Validate()
	for _, want := range []string{"access.trustedProxies[1]", "access.trustedHops: is 0 beside", "access.trustedCA", "access.signatureWindow"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named: %v", want, err)
		}
	}
}

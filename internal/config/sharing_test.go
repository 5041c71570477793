package config

import (
	"strings"
	"testing"
	"time"

	"github.com/kongdao/kongdao/api"
)

func TestSharingIsChecked(t *testing.T) {
	c := Default()
	if c.XDS.Gateways != 1 || !c.XDS.ShareByLoad || c.XDS.Proxyless || c.XDS.Grace.Std() != 30*time.Second {
		t.Errorf("default: %+v", c.XDS)
	}
	c.XDS.Gateways, c.XDS.Grace = 0, api.Duration(2*time.Hour)
	err := c.Validate()
	for _, want := range []string{"xds.gateways: is 0", "xds.gatewayGrace: is 2h"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s is not named: %v", want, err)
		}
	}
}

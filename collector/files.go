package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"time"

	"github.com/kongdao/kongdao/collector/filelog"
)

// File is the access log of a further gateway on this machine, or of several.
type File struct {
	Path    string `yaml:"path"`    // the file, which need not exist yet, or a pattern such as /var/log/gateways/*.log
	Gateway string `yaml:"gateway"` // node id of the gateway; empty: see filelog.GatewayOf
	Zone    string `yaml:"zone"`    // the gateway's zone

	// Admin is the host:port of Envoy's administration, through which the file is
	// reopened after it was rotated here. Empty: somebody else rotates. Not for a
	// pattern.
	Admin string `yaml:"admin"`
}

// validate names what is wrong with the file called field.
func (f File) validate(field string) error {
	var errs []error
	if f.Path == "" {
		errs = append(errs, fmt.Errorf("%s.path: missing", field))
	}
	if _, _, err := net.SplitHostPort(f.Admin); f.Admin != "" && err != nil {
		errs = append(errs, fmt.Errorf("%s.admin: %q is not host:port", field, f.Admin))
	}
	return errors.Join(errs...)
}

func (f File) source() filelog.Source {
	s := filelog.Source{Path: f.Path, Gateway: f.Gateway, GatewayZone: f.Zone}
	if f.Gateway == "" && !filelog.IsGlob(f.Path) {
		s.Gateway = filelog.GatewayOf(f.Path, f.Path)
	}
	if f.Admin != "" {
		s.Reopen = func(ctx context.Context) error { return reopenLogs(ctx, f.Admin) }
	}
	return s
}

// reopenLogs makes the Envoy with this administration open its logs anew.
func reopenLogs(ctx context.Context, admin string) error {
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://"+admin+"/reopen_logs", nil)
	if err != nil {
		return err
	}
	client := http.Client{Transport: &http.Transport{DisableKeepAlives: true}, Timeout: 5 * time.Second}
	resp, err := client.Do(req)
	if err != nil {
		return err
	}
	defer resp.Body.Close()
	_, _ = io.Copy(io.Discard, resp.Body)
	if resp.StatusCode != http.StatusOK {
		return fmt.Errorf("%s: %s", req.URL, resp.Status)
	}
	return nil
}

// file is the configuration of the source file.
func (c Config) file() filelog.Config {
	f := filelog.DefaultConfig()
	f.RotateBytes, f.FileBytes, f.Overflow = c.RotateBytes, c.FileBytes, c.FileOverflow
	f.Headers = c.Headers
	if c.AccessLog != "" {
		f.Sources = []filelog.Source{{Path: c.AccessLog, Gateway: c.Gateway, GatewayZone: c.Zone, Reopen: c.Reopen}}
	}
	for _, file := range c.Files {
		if filelog.IsGlob(file.Path) {
			f.Globs = append(f.Globs, file.source())
			continue
		}
		f.Sources = append(f.Sources, file.source())
	}
	return f
}

func (c Config) validateFile() error {
	var errs []error
	own := c.AccessLog != "" || len(c.Files) == 0
	if own && c.AccessLog == "" {
		errs = append(errs, fmt.Errorf("accessLog: missing, and source is %s", c.Source))
	}
	if own && c.Gateway == "" {
		errs = append(errs, fmt.Errorf("gateway: missing, and source is %s", c.Source))
	}
	for i, f := range c.Files {
		errs = append(errs, f.validate(fmt.Sprintf("files[%d]", i)))
	}
	if errors.Join(errs...) == nil {
		errs = append(errs, c.file().Validate()) // its fields are named alike, or nearly
	}
	return errors.Join(errs...)
}

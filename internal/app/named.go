package app

import (
	"errors"
	"fmt"
	"strings"
	"syscall"

	"github.com/kongdao/kongdao/deploy/embedded"
	"github.com/kongdao/kongdao/internal/config"
	"github.com/kongdao/kongdao/xds/envoy"
)

// named puts the field of the configuration that has to change before an error of
// the environment, where there is one: then whoever reads it knows where to look.
func named(cfg config.Config, err error) error {
	var field *config.FieldError
	switch {
	case errors.As(err, &field):
		return field
	case errors.Is(err, envoy.ErrNotFound) && cfg.Envoy.Path != "":
		return &config.FieldError{Field: "envoy.path", Err: err}
	case errors.Is(err, embedded.ErrNoLibrary) && cfg.ClickHouse.Library != "":
		return &config.FieldError{Field: "clickhouse.library", Err: err}
	case !listening(err):
		return err
	}
	for name, address := range cfg.Listen.Fixed() {
		if strings.Contains(err.Error(), address) {
			return &config.FieldError{Field: name, Err: fmt.Errorf("%w: free the port, or choose another", err)}
		}
	}
	return err
}

// listening tells the errors of a listener that could not be had.
func listening(err error) bool {
	return errors.Is(err, envoy.ErrPortInUse) || errors.Is(err, syscall.EADDRINUSE) ||
		errors.Is(err, syscall.EADDRNOTAVAIL) || errors.Is(err, syscall.EACCES)
}

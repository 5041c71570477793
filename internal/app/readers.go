package app

import (
	"context"
	"errors"
	"fmt"
	"slices"

	"github.com/kongdao/kongdao/api"
	schema "github.com/kongdao/kongdao/deploy/clickhouse"
	"github.com/kongdao/kongdao/internal/config"
	"github.com/kongdao/kongdao/registry"
)

// readersOf are the readers of the configuration with their tokens.
func readersOf(cfg config.Config) ([]schema.Reader, error) {
	all := make([]schema.Reader, len(cfg.Readers))
	whose := map[string]string{}
	for i, r := range cfg.Readers {
		field := fmt.Sprintf("readers[%d].token", i)
		token, err := registry.Resolve(r.Token)
		if err != nil {
			return nil, &config.FieldError{Field: field, Err: err}
		}
		all[i] = schema.Reader{Name: r.Name, Tenants: r.Tenants, Token: api.Secret(token)}
		if err := all[i].Validate(); err != nil {
			return nil, &config.FieldError{Field: field, Err: err}
		}
		if other := whose[token]; other != "" {
			return nil, &config.FieldError{Field: field, Err: fmt.Errorf("is the token of reader %s as well: want one of its own", other)}
		}
		whose[token] = r.Name
	}
	return all, nil
}

// ensureReaders makes what the readers need in ClickHouse. On a server that is done
// where the API runs: other processes need not know the readers.
func (s *System) ensureReaders(ctx context.Context) error {
	if s.engine != nil {
		return schema.EnsureReaderViews(ctx, s.chOptions, s.asking)
	}
	if !slices.Contains(s.parts, PartAPI) {
		return nil
	}
	err := schema.EnsureReaders(ctx, s.chOptions, s.asking)
	if errors.Is(err, schema.ErrAccess) {
		return &config.FieldError{Field: "readers", Err: err}
	}
	return err
}

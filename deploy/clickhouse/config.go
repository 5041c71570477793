package schema

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
)

// Config is how long rows are kept, and where.
type Config struct {
	// RetentionDays is how long calls are kept, whole days. Rollups and the logs of
	// functions have times of their own.
	RetentionDays int
	// Tenants are days for calls, rollups and logs of single tenants, by name. Those
	// of a rollup are never kept longer than the rollup's own time.
	Tenants map[string]int
	// LoadRunDays is how long results of stress tests are kept; 0: a year.
	LoadRunDays int
	// StoragePolicy is that of the tables, one that the server has; empty: as they
	// are. It can be changed to one that has all volumes of the policy before.
	StoragePolicy string
	// ColdAfterDays is when calls move to the volume "cold" of the policy; 0: never.
	ColdAfterDays int
	// Cluster is the name of the cluster that has the tables, as in the server's
	// remote_servers; empty: one server, or one set of replicas that copies by itself.
	Cluster string
}

// DefaultConfig keeps calls for 30 days on one server.
func DefaultConfig() Config { return Config{RetentionDays: 30, LoadRunDays: yearDays} }

const yearDays = 365

// maxDays is ten years.
const maxDays = 3650

var clusterName = regexp.MustCompile(`^[A-Za-z_][A-Za-z0-9_-]{0,63}$`)

// Validate names every field that is wrong.
func (c Config) Validate() error {
	var errs []error
	days := func(field string, n, least int) {
		if n < least || n > maxDays {
			errs = append(errs, fmt.Errorf("%s: is %d, want whole days from %d to %d", field, n, least, maxDays))
		}
	}
	days("retentionDays", c.RetentionDays, 1)
	days("loadRunDays", c.LoadRunDays, 0)
	days("coldAfterDays", c.ColdAfterDays, 0)
	for _, t := range slices.Sorted(maps.Keys(c.Tenants)) {
		days("tenants."+t, c.Tenants[t], 1)
	}
	if c.ColdAfterDays > 0 && c.StoragePolicy == "" {
		errs = append(errs, errors.New("coldAfterDays: is set, and storagePolicy is not: want a policy that has a volume named cold"))
	}
	if c.StoragePolicy != "" && !clusterName.MatchString(c.StoragePolicy) {
		errs = append(errs, fmt.Errorf("storagePolicy: is %q, want the name of a storage policy", c.StoragePolicy))
	}
	if c.Cluster != "" && !clusterName.MatchString(c.Cluster) {
		errs = append(errs, fmt.Errorf("cluster: is %q, want the name of a cluster", c.Cluster))
	}
	return errors.Join(errs...)
}

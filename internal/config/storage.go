package config

import (
	schema "github.com/kongdao/kongdao/deploy/clickhouse"
)

// maxDays is ten years.
const maxDays = 3650

func (k *check) storage(c ClickHouse) {
	if c.RetentionDays < 1 || c.RetentionDays > maxDays {
		k.add("clickhouse.retentionDays", "is %d, want a whole number from 1 to %d", c.RetentionDays, maxDays)
	}
	switch {
	case c.ColdAfterDays < 0 || c.ColdAfterDays > maxDays:
		k.add("clickhouse.coldAfterDays", "is %d, want a whole number from 0 to %d, 0 for never", c.ColdAfterDays, maxDays)
	case c.ColdAfterDays > 0 && c.StoragePolicy == "":
		k.add("clickhouse.coldAfterDays", "is set, and clickhouse.storagePolicy is not: want a policy of the server that has a volume named cold")
	}
	k.serverOnly("clickhouse.caFile", c.CAFile, c)
	k.serverOnly("clickhouse.cluster", c.Cluster, c)
	k.serverOnly("clickhouse.storagePolicy", c.StoragePolicy, c)
	k.nameOnServer("clickhouse.cluster", c.Cluster)
	k.nameOnServer("clickhouse.storagePolicy", c.StoragePolicy)
}

func (k *check) nameOnServer(field, value string) {
	if value != "" && !nodeName.MatchString(value) {
		k.add(field, "is %q, want a name that the server's configuration has", value)
	}
}

// readersHere says where readers cannot be: a server of a cluster asks the others as
// the user who asks it, who then would need the right to their tables.
func (k *check) readersHere(c Config) {
	if c.ClickHouse.Cluster != "" && len(c.Readers) > 0 {
		k.add("readers", "are not kept apart on a cluster yet: want clickhouse.cluster empty, or no readers")
	}
}

// serverOnly is for what the embedded engine does not have.
func (k *check) serverOnly(field, value string, c ClickHouse) {
	if value != "" && c.DSN == "" {
		k.add(field, "is set, and clickhouse.dsn is not: the embedded engine has none")
	}
}

// Schema is how the tables are kept, with what tenants say.
func (c Config) Schema() schema.Config {
	s := schema.Config{
		RetentionDays: c.ClickHouse.RetentionDays, StoragePolicy: c.ClickHouse.StoragePolicy,
		ColdAfterDays: c.ClickHouse.ColdAfterDays, Cluster: c.ClickHouse.Cluster, LoadRunDays: c.LoadTest.KeepDays, Tenants: map[string]int{},
	}
	for name, t := range c.Tenants {
		if t.RetentionDays > 0 {
			s.Tenants[name] = t.RetentionDays
		}
	}
	return s
}

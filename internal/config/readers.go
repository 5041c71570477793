package config

import (
	"fmt"

	"github.com/kongdao/kongdao/api"
	schema "github.com/kongdao/kongdao/deploy/clickhouse"
)

// Reader may ask about the calls of some tenants, with its token: in the API, and
// with SQL, where ClickHouse itself keeps it to that.
type Reader struct {
	Name    string     `yaml:"name"`
	Tenants []string   `yaml:"tenants"` // whose calls; "*": everybody's
	Token   api.Secret `yaml:"token"`   // such as ${env:ANALYST_TOKEN}; also the password of the reader's user in ClickHouse
}

func (k *check) readers(all []Reader) {
	taken := map[string]bool{}
	for i, r := range all {
		field := fmt.Sprintf("readers[%d]", i)
		switch {
		case !schema.ValidReaderName(r.Name):
			k.add(field+".name", "is %q, want a name such as analysts: lower case letters, digits and underscores, at most 31, not ending in _rows", r.Name)
		case taken[r.Name]:
			k.add(field+".name", "is %q, which another reader has: want a name of its own", r.Name)
		}
		taken[r.Name] = true
		if len(r.Tenants) == 0 {
			k.add(field+".tenants", `is empty, want names of tenants, or ["*"] for all`)
		}
		for j, t := range r.Tenants {
			if t != schema.AllTenants && !nodeName.MatchString(t) {
				k.add(fmt.Sprintf("%s.tenants[%d]", field, j), "is %q, want the name of a tenant such as recommend, or * for all", t)
			}
		}
		if _, err := r.Token.Refs(); err != nil {
			k.add(field+".token", "%s", err)
		} else if r.Token == "" {
			k.add(field+".token", "is empty, want a secret such as ${env:ANALYST_TOKEN}")
		}
	}
}

package config

import (
	"fmt"
	"slices"

	"github.com/kongdao/kongdao/internal/calllog"
)

func (k *check) headers(names []string) {
	for i, name := range names {
		field := fmt.Sprintf("collector.headers[%d]", i)
		if err := calllog.CheckHeader(name); err != nil {
			k.add(field, "%s", err)
		} else if slices.Index(names, name) < i {
			k.add(field, "is %q, which is there already", name)
		}
	}
	if len(names) > calllog.MaxHeaders {
		k.add("collector.headers", "has %d, want at most %d", len(names), calllog.MaxHeaders)
	}
}

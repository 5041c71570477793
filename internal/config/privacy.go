package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"github.com/kongdao/kongdao/collector/policy"
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

// Policy is what the collector hides, for the package that does.
func (c Collector) Policy() policy.Redact {
	return policy.Redact{
		Patterns: c.Redact.Patterns, Custom: c.Redact.Custom, Drop: c.Redact.Drop, Mask: c.Redact.Mask,
		IPv4Bits: c.ClientIP.IPv4Bits, IPv6Bits: c.ClientIP.IPv6Bits,
	}
}

func (k *check) privacy(c Collector) {
	field := func(err error, format string, args ...any) {
		if err != nil {
			k.add("collector."+fmt.Sprintf(format, args...), "%s", err)
		}
	}
	for i, name := range c.Redact.Patterns {
		if !slices.Contains(policy.Patterns(), name) {
			k.add(fmt.Sprintf("collector.redact.patterns[%d]", i), "is %q, want one of %s", name, strings.Join(policy.Patterns(), ", "))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(c.Redact.Custom)) {
		field(policy.CheckCustom(name, c.Redact.Custom[name]), "redact.custom.%s", name)
	}
	for i, name := range c.Redact.Drop {
		field(policy.CheckField(name, false), "redact.drop[%d]", i)
	}
	for i, name := range c.Redact.Mask {
		field(policy.CheckField(name, true), "redact.mask[%d]", i)
	}
	if n := c.ClientIP.IPv4Bits; n < 0 || n > 32 {
		k.add("collector.clientIP.ipv4Bits", "is %d, want a whole number from 0 to 32", n)
	}
	if n := c.ClientIP.IPv6Bits; n < 0 || n > 128 {
		k.add("collector.clientIP.ipv6Bits", "is %d, want a whole number from 0 to 128", n)
	}
}

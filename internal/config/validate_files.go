package config

import (
	"fmt"
	"net"
	"path/filepath"
	"strings"
)

// collectorFiles checks what is said about log files.
func (k *check) collectorFiles(c Collector) {
	seen := map[string]bool{}
	for i, f := range c.Files {
		field := func(name string) string { return fmt.Sprintf("collector.files[%d].%s", i, name) }
		if _, err := filepath.Match(f.Path, ""); err != nil || f.Path == "" || seen[f.Path] {
			k.add(field("path"), "is %q, want a file or a pattern such as /var/log/gateways/*.log, each once", f.Path)
		}
		seen[f.Path] = true
		if f.Gateway != "" && !nodeName.MatchString(f.Gateway) {
			k.add(field("gateway"), "is %q, want a name such as gateway-1", f.Gateway)
		}
		if f.Zone != "" && !nodeName.MatchString(f.Zone) {
			k.add(field("zone"), "is %q, want the name of a zone such as zb-a", f.Zone)
		}
		if _, _, err := net.SplitHostPort(f.Admin); f.Admin != "" && (err != nil || strings.ContainsAny(f.Path, `*?[\`)) {
			k.add(field("admin"), "is %q, want host:port such as 127.0.0.1:9901, and one file, no pattern", f.Admin)
		}
	}
	const least = 64 << 10 // below it rotation takes longer than a busy gateway needs to fill a file
	if c.RotateBytes != 0 && c.RotateBytes < least {
		k.add("collector.rotateBytes", "is %d, want 0 for no rotation, or at least %d", c.RotateBytes, least)
	}
	if c.FileBytes != 0 && c.FileBytes < 2*c.RotateBytes || c.FileBytes < 0 {
		k.add("collector.fileBytes", "is %d, want 0 for no bound, or at least twice rotateBytes, which is %d", c.FileBytes, c.RotateBytes)
	}
	k.oneOf("collector.fileOverflow", c.FileOverflow, "keep", "drop-oldest")
}

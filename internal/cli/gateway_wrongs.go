package cli

import (
	"fmt"
	"io"
	"strings"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/xds"
)

// mostNames bounds the functions that are named of a shard of routes.
const mostNames = 10

// writeWrongs says what a gateway refuses and what it is still warming.
func writeWrongs(w io.Writer, s xds.GatewayState) {
	for _, d := range s.Refuses {
		fmt.Fprintf(w, "\n%s refuses %s%s: %s\n", s.Node, d.What, ofFunctions(d.Functions), d.Reason)
	}
	if len(s.Warming) > 0 {
		fmt.Fprintf(w, "\n%s is warming %s\n", s.Node, firstOf(s.Warming))
	}
}

// ofFunctions names functions with their places.
func ofFunctions(all []api.Named) string {
	if len(all) == 0 {
		return ""
	}
	var names []string
	for _, f := range all {
		names = append(names, fmt.Sprintf("%s (%s)", f.Name, f.Source))
	}
	return " of " + firstOf(names)
}

func firstOf(names []string) string {
	if more := len(names) - mostNames; more > 0 {
		return fmt.Sprintf("%s and %d more", strings.Join(names[:mostNames], ", "), more)
	}
	return strings.Join(names, ", ")
}

// writeQuarantine lists what gateways answer by 503, once for each group.
func writeQuarantine(w io.Writer, all []xds.GatewayState) {
	told := map[string]bool{}
	for _, s := range all {
		for _, q := range s.Quarantined {
			if key := s.Group + " " + q.Name; !told[key] {
				told[key] = true
				fmt.Fprintf(w, "\nin quarantine at %s: %s (%s), found by %s: %s\n", s.Group, q.Name, q.Source, q.Stage, q.Reason)
			}
		}
	}
}

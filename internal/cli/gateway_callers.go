package cli

import (
	"fmt"
	"io"
	"strings"
	"text/tabwriter"

	"github.com/kongdao/kongdao/xds"
)

// writeCallers lists gRPC clients that call pods without a gateway, what they ask for
// in vain, and what they refuse.
func writeCallers(w io.Writer, all []xds.CallerState) {
	if len(all) == 0 {
		return
	}
	fmt.Fprintln(w, "\ncallers without a gateway:")
	t := tabwriter.NewWriter(w, 0, 0, 2, ' ', 0)
	fmt.Fprintln(t, "NODE\tGROUP\tZONE\tPROGRAM\tFUNCTIONS\tLAST ACK\tREFUSES\tCONNECTED")
	for _, c := range all {
		fmt.Fprintf(t, "%s\t%s\t%s\t%s\t%s\t%s\t%d\t%s\n", dash(c.Node), c.Group, dash(c.Zone), dash(c.Agent),
			dash(strings.Join(c.Asks, ",")), since(c.LastAck), len(c.Refused), since(c.Since))
	}
	_ = t.Flush()
	for _, c := range all {
		for _, m := range c.Missing {
			fmt.Fprintf(w, "\n%s does not get %s: %s\n", dash(c.Node), m.Name, m.Reason)
		}
		for _, no := range c.Refused {
			fmt.Fprintf(w, "\n%s refuses %s of %s: %s\n", dash(c.Node), typeWord(no.Type), strings.Join(no.Resources, ", "), no.Message)
		}
	}
}

// typeWord is the last word of a type's name.
func typeWord(typeURL string) string { return typeURL[strings.LastIndexByte(typeURL, '.')+1:] }

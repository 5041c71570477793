package cli

import (
	"context"
	"fmt"
	"net/http"
	"net/url"
	"strconv"
	"time"

	"github.com/spf13/cobra"
)

// stopAll stops all stress tests, and has gateways refuse their requests for a while.
func stopAll(ctx context.Context, c *client, refuse time.Duration) error {
	return c.do(ctx, http.MethodDelete, "/load-active", url.Values{"refuse": {strconv.Itoa(int(refuse.Seconds()))}}, nil, nil)
}

func (e *env) loadAllowCommand() *cobra.Command {
	return &cobra.Command{
		Use: "allow", Short: "let gateways take requests of stress tests again, after load stop --all",
		Args: usage(cobra.NoArgs), Example: "  kongdao load allow",
		RunE: func(cmd *cobra.Command, _ []string) error {
			c, err := e.connect()
			if err != nil {
				return err
			}
			return c.do(cmd.Context(), http.MethodDelete, "/load-refused", nil, nil, nil)
		},
	}
}

// tellRefused says that stress tests are refused.
func (e *env) tellRefused(until *time.Time) {
	if until != nil {
		fmt.Fprintf(e.err, "gateways refuse stress tests until %s: kongdao load allow ends that\n", until.Local().Format(time.TimeOnly))
	}
}

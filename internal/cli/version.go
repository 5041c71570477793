package cli

import (
	"fmt"
	"io"
	"runtime"

	"github.com/spf13/cobra"
)

func (e *env) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use: "version", Short: "the version of this program", Example: "  kongdao version -o json", Args: usage(cobra.NoArgs),
		RunE: func(*cobra.Command, []string) error {
			v := map[string]string{"version": e.version, "go": runtime.Version(), "platform": runtime.GOOS + "/" + runtime.GOARCH}
			return e.print(v, func(w io.Writer) {
				fmt.Fprintf(w, "kongdao %s (%s, %s)\n", v["version"], v["go"], v["platform"])
			})
		},
	}
}

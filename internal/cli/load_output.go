package cli

import (
	"errors"
	"fmt"
	"io"
	"os"

	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/loadtest/report"
)

// outputs are files that a result is written to besides standard output.
type outputs struct{ html, junit string }

func (o *outputs) flags(cmd *cobra.Command) {
	cmd.Flags().StringVar(&o.html, "html", "", "write a page with charts to this file")
	cmd.Flags().StringVar(&o.junit, "junit", "", "write the thresholds as tests in JUnit's XML to this file")
}

func (o *outputs) write(r report.Result) error {
	return errors.Join(writeTo(o.html, r.WriteHTML), writeTo(o.junit, r.WriteJUnit))
}

func writeTo(name string, write func(io.Writer) error) error {
	if name == "" {
		return nil
	}
	f, err := os.Create(name)
	if err != nil {
		return err
	}
	if err := errors.Join(write(f), f.Close()); err != nil {
		return fmt.Errorf("write %s: %w", name, err)
	}
	return nil
}

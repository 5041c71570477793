package cli

import (
	"github.com/spf13/cobra"

	"github.com/kongdao/kongdao/api"
	"github.com/kongdao/kongdao/loadtest/scenario"
)

const maxBytesName = "max-bytes"

// sizeFlag is a number of bytes with a unit; 0: not given.
type sizeFlag struct{ api.Size }

func (s *sizeFlag) Set(text string) error { return s.UnmarshalText([]byte(text)) }

func (*sizeFlag) Type() string { return "size" }

func (s *sizeFlag) String() string {
	if s.Size == 0 {
		return ""
	}
	return s.Size.String()
}

// maxBytesFlag is for commands that send, whose bounds env.limits reads.
func maxBytesFlag(cmd *cobra.Command) {
	cmd.Flags().Var(&sizeFlag{}, maxBytesName, "end the run when so many bytes were received and sent, such as 10GiB (default: loadtest.maxBytes)")
}

// boundBytes is the cap that the command line names, if it does.
func boundBytes(cmd *cobra.Command, l *scenario.Limits) {
	if f := cmd.Flags().Lookup(maxBytesName); f != nil {
		if s, ok := f.Value.(*sizeFlag); ok && s.Size > 0 {
			l.MaxBytes = uint64(s.Size)
		}
	}
}

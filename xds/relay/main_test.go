package relay

import (
	"fmt"
	"os"
	"testing"

	"go.uber.org/goleak"
)

// The process that tests start again plays other parts when these are set to the
// path of a journal.
const (
	writerOf = "KONGDAO_TEST_JOURNAL_WRITER"
	fullOf   = "KONGDAO_TEST_JOURNAL_FULL"
)

func TestMain(m *testing.M) {
	for variable, play := range map[string]func(path string) error{writerOf: beWriter, fullOf: beFull} {
		if path := os.Getenv(variable); path != "" {
			if err := play(path); err != nil {
				fmt.Fprintln(os.Stderr, err)
				os.Exit(1)
			}
			os.Exit(0)
		}
	}
	goleak.VerifyTestMain(m)
}

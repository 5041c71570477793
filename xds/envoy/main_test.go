package envoy

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

// parentDir, when set, makes the test binary a process that runs a gateway from
// that folder until it is killed.
const parentDir = "KONGDAO_TEST_PARENT_DIR"

func TestMain(m *testing.M) {
	if dir := os.Getenv(parentDir); dir != "" {
		beParent(dir)
		return
	}
	goleak.VerifyTestMain(m)
}

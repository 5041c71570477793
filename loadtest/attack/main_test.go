package attack_test

import (
	"os"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) {
	if os.Getenv(serverVariable) != "" {
		serveBenchmarks()
		return
	}
	goleak.VerifyTestMain(m)
}

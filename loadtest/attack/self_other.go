//go:build !linux

package attack

import "time"

func waitedForCore() time.Duration { return 0 }

func coreTimes() []coreTime { return nil }

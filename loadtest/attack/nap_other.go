//go:build !linux

package attack

import "time"

// napFrom is 0: Go's timers are all there is.
const napFrom time.Duration = 0

func nap(time.Duration) {}

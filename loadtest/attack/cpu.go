package attack

import (
	"runtime"
	"syscall"
	"time"
)

// cpuTime is what this process has used of all cores. Zero when the system does
// not say, which makes the CPU check pass.
func cpuTime() time.Duration {
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		return 0
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// cpuShare is the share of all cores used since the given moment.
func cpuShare(before time.Duration, wall time.Duration) float64 {
	if wall <= 0 {
		return 0
	}
	return (cpuTime() - before).Seconds() / wall.Seconds() / float64(runtime.GOMAXPROCS(0))
}

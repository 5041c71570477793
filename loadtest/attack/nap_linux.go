package attack

import (
	"syscall"
	"time"
)

// napFrom is how long before a planned time the Go timer hands over to the
// kernel's. An idle Go process waits in epoll, whose timeout counts whole
// milliseconds, so its timers come up to 1 ms late; the kernel's own sleep comes
// about 0.06 ms late. It blocks a thread, hence only for the last stretch.
const napFrom = 1500 * time.Microsecond

// nap sleeps for at most napFrom. A signal may end it early, hence the loop of
// its caller.
func nap(d time.Duration) {
	t := syscall.NsecToTimespec(int64(d))
	_ = syscall.Nanosleep(&t, nil) // interrupted: the caller looks at the clock again
}

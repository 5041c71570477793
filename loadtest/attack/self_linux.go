package attack

import (
	"bytes"
	"os"
	"strconv"
	"time"

	"golang.org/x/sys/unix"
)

// waitedForCore is how long threads of this process have been ready to run without a
// core, from the second figure of schedstat, nanoseconds.
func waitedForCore() time.Duration {
	threads, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return 0
	}
	var sum uint64
	for _, t := range threads {
		b, err := os.ReadFile("/proc/self/task/" + t.Name() + "/schedstat")
		if f := bytes.Fields(b); err == nil && len(f) == 3 {
			n, _ := strconv.ParseUint(string(f[1]), 10, 64)
			sum += n
		}
	}
	return time.Duration(sum)
}

// coreTimes are the cores on which this process may run.
func coreTimes() []coreTime {
	b, err := os.ReadFile("/proc/stat")
	if err != nil {
		return nil
	}
	var mine unix.CPUSet
	known := unix.SchedGetaffinity(0, &mine) == nil
	var all []coreTime
	for line := range bytes.Lines(b) {
		f := bytes.Fields(line)
		name, isCore := bytes.CutPrefix(first(f), []byte("cpu"))
		n, err := strconv.Atoi(string(name))
		if !isCore || err != nil || (known && !mine.IsSet(n)) {
			continue
		}
		all = append(all, coreOf(f[1:]))
	}
	return all
}

func first(f [][]byte) []byte {
	if len(f) == 0 {
		return nil
	}
	return f[0]
}

// coreOf reads user, nice, system, idle, iowait, irq, softirq and steal; guests are
// in user already.
func coreOf(ticks [][]byte) coreTime {
	var c coreTime
	for i, text := range ticks[:min(8, len(ticks))] {
		n, _ := strconv.ParseUint(string(text), 10, 64)
		c.all += n
		if i != 3 && i != 4 {
			c.busy += n
		}
	}
	return c
}

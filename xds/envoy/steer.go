package envoy

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// Two Envoys listen on the same ports while one takes the place of the other, and
// Linux spreads connections over the sockets of both. What is being set up on a socket
// that is then closed is reset. So a filter first sends everything to the sockets of
// the second one, and the first has nothing left to lose when it stops to listen.

// steering are sockets of the second Envoy, one for each address, that filters hang on.
type steering []int

// settleTime is how long a connection may take from its first packet until a worker
// has it. Slower clients may be reset.
const settleTime = time.Second

// steer makes new connections go to the process alone, of all that listen where it
// does. It needs the right to trace its child, which containers may lack.
func steer(pid int) (s steering, err error) {
	mine, all, err := listening(pid)
	if err != nil {
		return nil, err
	}
	process, err := unix.PidfdOpen(pid, 0)
	if err != nil {
		return nil, fmt.Errorf("open the process: %w", err)
	}
	defer unix.Close(process)
	for addr, files := range mine {
		before := all[addr] - len(files)
		if before <= 0 {
			continue // nobody else, as on the admin port
		}
		fd, err := unix.PidfdGetfd(process, files[0], 0)
		if err != nil {
			return nil, errors.Join(fmt.Errorf("take a socket of the process: %w", err), s.end())
		}
		s = append(s, fd)
		if err := attach(fd, before, len(files)); err != nil {
			return nil, errors.Join(fmt.Errorf("attach a filter: %w", err), s.end())
		}
	}
	return s, nil
}

// end takes the filters away, which otherwise count on sockets that are gone.
func (s steering) end() error {
	var errs []error
	for _, fd := range s {
		if err := unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_DETACH_REUSEPORT_BPF, 0); !errors.Is(err, unix.ENOENT) {
			errs = append(errs, err)
		}
		errs = append(errs, unix.Close(fd))
	}
	return errors.Join(errs...)
}

// randomNumber is SKF_AD_OFF + SKF_AD_RANDOM of linux/filter.h: it is loaded instead
// of bytes of the packet.
const randomNumber = 0xfffff000 + 56

// attach makes any one of a number of sockets be chosen, all of which began to listen
// after a number of others: sockets are counted in that order.
func attach(fd, before, number int) error {
	program := []unix.SockFilter{
		{Code: unix.BPF_LD | unix.BPF_W | unix.BPF_ABS, K: randomNumber},
		{Code: unix.BPF_ALU | unix.BPF_MOD | unix.BPF_K, K: uint32(number)},
		{Code: unix.BPF_ALU | unix.BPF_ADD | unix.BPF_K, K: uint32(before)},
		{Code: unix.BPF_RET | unix.BPF_A},
	}
	return unix.SetsockoptSockFprog(fd, unix.SOL_SOCKET, unix.SO_ATTACH_REUSEPORT_CBPF, &unix.SockFprog{Len: uint16(len(program)), Filter: &program[0]})
}

// listening finds the listening sockets of a process, its file numbers by address, and
// how many sockets of anybody listen at each address.
func listening(pid int) (mine map[string][]int, all map[string]int, err error) {
	own, err := sockets(pid)
	if err != nil {
		return nil, nil, err
	}
	mine, all = map[string][]int{}, map[string]int{}
	for _, family := range []string{"tcp", "tcp6"} {
		f, err := os.Open(fmt.Sprintf("/proc/%d/net/%s", pid, family))
		if err != nil {
			continue // a machine without it
		}
		lines := bufio.NewScanner(f)
		for lines.Scan() {
			fields := strings.Fields(lines.Text())
			const address, state, inode, listens = 1, 3, 9, "0A"
			if len(fields) <= inode || fields[state] != listens {
				continue
			}
			all[fields[address]]++
			if file, ok := own[fields[inode]]; ok {
				mine[fields[address]] = append(mine[fields[address]], file)
			}
		}
		err = errors.Join(lines.Err(), f.Close())
		if err != nil {
			return nil, nil, err
		}
	}
	return mine, all, nil
}

// sockets are the files of a process that are sockets, by inode.
func sockets(pid int) (map[string]int, error) {
	dir := fmt.Sprintf("/proc/%d/fd/", pid)
	entries, err := os.ReadDir(dir)
	if err != nil {
		return nil, err
	}
	found := map[string]int{}
	for _, e := range entries {
		link, err := os.Readlink(dir + e.Name())
		if err != nil {
			continue // it is closed by now
		}
		inode, ok := strings.CutPrefix(link, "socket:[")
		if number, err := strconv.Atoi(e.Name()); ok && err == nil {
			found[strings.TrimSuffix(inode, "]")] = number
		}
	}
	return found, nil
}

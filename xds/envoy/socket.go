package envoy

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"os"
	"path/filepath"
	"strings"

	core "github.com/envoyproxy/go-control-plane/envoy/config/core/v3"
)

// unixPrefix begins the address of a control plane on a Unix socket; the name
// that follows is relative to the gateway's folder, Envoy's working directory.
const unixPrefix = "unix:"

// UnixAddr is the XDSAddr of a control plane that listens on a socket of that name
// in the gateway's own folder, see [ListenUnix].
func UnixAddr(name string) string { return unixPrefix + name }

// pipe is the address of a Unix socket; false for any other address.
func pipe(addr string) (*core.Address, bool) {
	name, ok := strings.CutPrefix(addr, unixPrefix)
	if !ok {
		return nil, false
	}
	return &core.Address{Address: &core.Address_Pipe{Pipe: &core.Pipe{Path: name}}}, true
}

// ListenUnix listens on a socket in a folder that only this user can enter; the
// folder is made if it is not there, and a socket that was left behind goes. A
// socket's path must not be longer than 107 bytes, a folder's may: it is bound by
// way of the open folder.
func ListenUnix(dir, name string) (net.Listener, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.Remove(filepath.Join(dir, name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, err
	}
	folder, err := os.Open(dir)
	if err != nil {
		return nil, err
	}
	l, err := net.Listen("unix", fmt.Sprintf("/proc/self/fd/%d/%s", folder.Fd(), name))
	if err != nil {
		return nil, errors.Join(fmt.Errorf("listen on %s: %w", filepath.Join(dir, name), err), folder.Close())
	}
	return &unixListener{l, folder}, nil
}

// unixListener keeps the folder open by which its socket is found and removed.
type unixListener struct {
	net.Listener
	folder *os.File
}

// Close ends the listener and removes the socket.
func (l *unixListener) Close() error { return errors.Join(l.Listener.Close(), l.folder.Close()) }

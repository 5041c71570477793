package embedded

import (
	"fmt"
	"io"
	"os"
	"os/signal"
	"strings"
	"syscall"
	"time"
)

// What the parent starts this program with. Arguments, not the environment, so
// that nothing is inherited by processes further down.
const (
	childArgument   = "kongdao-clickhouse-engine"
	versionArgument = "version" // then the library: prints its version
	runArgument     = "run"     // then the library and the arguments of clickhouse local
)

// parentGrace is how long a child lives after its standard input has closed: longer
// than a clean stop with open connections takes, which is about five seconds.
const parentGrace = 8 * time.Second

// IsChild says whether this process was started as an engine. main and TestMain
// call it before they read flags.
func IsChild() bool {
	return len(os.Args) > 3 && os.Args[1] == childArgument
}

// RunChild is the engine: it returns the process's exit code after the engine has
// ended. Call it once, and only when IsChild says so.
func RunChild() int {
	if err := runChild(os.Args[2], os.Args[3], os.Args[4:]); err != nil {
		fmt.Fprintln(os.Stderr, "engine:", err)
		return 1
	}
	return 0
}

func runChild(what, path string, args []string) error {
	// Ctrl-C in a terminal reaches the whole session; the parent decides.
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM, syscall.SIGHUP)
	lib, err := openLibrary(path)
	if err != nil {
		return err
	}
	if what == versionArgument {
		_, err := fmt.Println(lib.Version())
		return err
	}
	if err := nowhere(); err != nil {
		return err
	}
	go exitAfterParent()
	if err := lib.RunLocal(args); err != nil && !strings.Contains(err.Error(), cancelled) {
		return err
	}
	return nil
}

// exitAfterParent ends this process when standard input has closed, which the
// kernel does for a parent that dies in any way, and a clean stop has had its time.
func exitAfterParent() {
	_, _ = io.Copy(io.Discard, os.Stdin) // an error is an end, too
	_ = os.Chdir("/")                    // the engine cannot end nowhere
	time.Sleep(parentGrace)
	os.Exit(3)
}

// childEnvironment keeps the parent's secrets and preload tricks out of the child.
func childEnvironment() []string {
	return []string{"TZ=UTC", "LC_ALL=C", "GOTRACEBACK=single", "GOMAXPROCS=2"}
}

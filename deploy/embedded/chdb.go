package embedded

import (
	"errors"
	"runtime"
	"unsafe"

	"github.com/ebitengine/purego"
)

// chdb is a loaded libchdb.so: the few entry points that run ClickHouse's
// "clickhouse local" main function in this process. It is never unloaded, because
// the library keeps threads.
type chdb struct {
	setSignalHandlers func(on int32)
	queryCmdline      func(argc int32, argv unsafe.Pointer) (result uintptr)
	resultError       func(result uintptr) unsafe.Pointer
	version           func() unsafe.Pointer // nil before 26.7
}

// openLibrary loads the shared library at path. The library's own signal handlers
// stay off, because the Go runtime needs its own.
func openLibrary(path string) (*chdb, error) {
	runtime.LockOSThread() // the loader keeps the text of its last error by thread
	defer runtime.UnlockOSThread()
	h, err := purego.Dlopen(path, purego.RTLD_NOW|purego.RTLD_LOCAL)
	if err != nil {
		return nil, err
	}
	var c chdb
	for name, fn := range map[string]any{
		"chdb_set_signal_handlers_enabled": &c.setSignalHandlers,
		"chdb_query_cmdline":               &c.queryCmdline,
		"chdb_result_error":                &c.resultError,
	} {
		if _, err := purego.Dlsym(h, name); err != nil { // RegisterLibFunc would panic
			return nil, err
		}
		purego.RegisterLibFunc(fn, h, name)
	}
	if _, err := purego.Dlsym(h, "chdb_version"); err == nil {
		purego.RegisterLibFunc(&c.version, h, "chdb_version")
	}
	c.setSignalHandlers(0)
	return &c, nil
}

// Version is the version of the library, "unknown" when it cannot say.
func (c *chdb) Version() string {
	if c.version == nil {
		return "unknown"
	}
	return goString(c.version())
}

// RunLocal runs "clickhouse local" with args (without the program name) and
// returns when it ends. It may be called once in a process.
func (c *chdb) RunLocal(args []string) error {
	runtime.LockOSThread() // the engine keeps thread-local state
	defer runtime.UnlockOSThread()

	var pin runtime.Pinner
	defer pin.Unpin()
	argv := make([]unsafe.Pointer, 0, len(args)+2)
	for _, a := range append([]string{"clickhouse"}, args...) {
		b := append([]byte(a), 0)
		pin.Pin(&b[0])
		argv = append(argv, unsafe.Pointer(&b[0]))
	}
	argc := int32(len(argv))
	argv = append(argv, nil)

	result := c.queryCmdline(argc, unsafe.Pointer(&argv[0]))
	runtime.KeepAlive(argv)
	if result == 0 {
		return errors.New("libchdb: no result")
	}
	if msg := goString(c.resultError(result)); msg != "" {
		return errors.New(msg)
	}
	return nil
}

// goString copies a NUL-terminated string of the library; nil is "".
func goString(p unsafe.Pointer) string {
	if p == nil {
		return ""
	}
	n := 0
	for *(*byte)(unsafe.Add(p, n)) != 0 {
		n++
	}
	return string(unsafe.Slice((*byte)(p), n))
}

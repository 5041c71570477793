package embedded

import (
	"fmt"
	"os"
	"path/filepath"
	"syscall"
)

// The SQL function file() needs no right, and in this library it reads any file of
// the machine: for whoever can ask anything that would be the end of all limits. But
// it starts with asking for the working directory, and fails where there is none. So
// the engine runs in a directory that was removed.
//
// The engine cannot start there, and must not let anybody in before. Hence a gate, a
// named pipe that the first statement of its script reads: opening it for writing
// waits for that statement, and the statement waits for the end of what is written,
// which is nothing. In between the directory goes.
const (
	workDir  = "work" // below the data directory, while the engine starts
	gateFile = "gate" // in workDir
)

// makeGate makes both; the engine's process is to start in the directory returned.
func makeGate(dir string) (string, error) {
	work := filepath.Join(dir, workDir)
	if err := os.RemoveAll(work); err != nil { // of a start that was killed
		return "", err
	}
	if err := os.Mkdir(work, 0o700); err != nil {
		return "", err
	}
	return work, syscall.Mkfifo(filepath.Join(work, gateFile), 0o600)
}

// nowhere opens the gate in the background, once the working directory is gone. When
// that goes wrong the process ends: an engine must not run without.
func nowhere() error {
	work, err := os.Getwd()
	if err != nil {
		return fmt.Errorf("working directory: %w", err)
	}
	go func() {
		gate, err := os.OpenFile(filepath.Join(work, gateFile), os.O_WRONLY, 0) // waits for the engine
		if err == nil {
			err = os.RemoveAll(work)
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, "engine: leave the working directory:", err)
			os.Exit(4) //nolint:forbidigo // the engine has the main thread, and does not return
		}
		_ = gate.Close() // nothing was written
	}()
	return nil
}

package filelog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
)

// measure notes what the files use, and how much of them is not handed over. What
// others rotated, and will remove, is not counted once it was read.
func (f *follower) measure(files []logFile) {
	var lag, usage int64
	for _, file := range files {
		reading := f.current != nil && file.inode == f.current.inode
		e, _ := f.doneWith(file) // what cannot be told counts as not read
		read := !reading && e != nil
		if !reading && !read {
			lag += file.size
		}
		if !read || file.live || file.sequence > 0 {
			usage += file.size
		}
	}
	if f.current != nil {
		lag += max(0, f.current.size()-f.current.base)
	}
	f.lag.Store(lag)
	f.usage.Store(usage)
}

// budget gives by how many bytes the files are beyond what they may use, and says
// so when that begins and ends.
func (f *follower) budget(files []logFile) (beyond int64) {
	use, most := f.usage.Load(), f.config.FileBytes
	over := most > 0 && use > most
	switch {
	case over && !f.over:
		f.log.Warn("access-log files use more disk than they may", "path", f.source.Path,
			"bytes", use, "budget", most, "files", len(files), "overflow", string(f.config.Overflow))
	case !over && f.over:
		f.log.Info("access-log files are within their budget again", "path", f.source.Path, "bytes", use)
	}
	f.over = over
	if !over {
		return 0
	}
	return use - most
}

// drop removes the oldest files that nobody has begun to read, at least beyond
// bytes of them if there are as many. The file being read stays, so that the stored
// position is still somewhere, and so do those whose lines are on their way: what is
// lost are whole files, to the line.
func (f *follower) drop(files []logFile, beyond int64) error {
	if f.config.Overflow != DropOldest || len(files) == 0 || !files[len(files)-1].live {
		return nil // without a live file the gateway may still write to the newest
	}
	if f.resume != (Position{}) {
		return nil // not known yet which of them is being read
	}
	for _, file := range files {
		e, err := f.doneWith(file)
		if err != nil {
			return err
		}
		unread := (f.current == nil || f.current.inode != file.inode) && e == nil
		if beyond <= 0 || file.live {
			return nil
		}
		if !unread || file.sequence == 0 {
			continue
		}
		lines, size, err := dropFile(file)
		if err != nil {
			return err
		}
		beyond -= size
		f.metrics.droppedLines.WithLabelValues(f.source.Gateway).Add(float64(lines))
		f.metrics.droppedBytes.WithLabelValues(f.source.Gateway).Add(float64(size))
		f.log.Error("access-log file dropped unread, as overflow says: its calls are lost",
			"file", file.path, "lines", lines, "bytes", size)
	}
	return nil
}

// dropFile counts a file's lines and removes it.
func dropFile(file logFile) (lines, size int64, err error) {
	r, err := openReader(file, 0, Config{})
	if err != nil {
		return 0, 0, err
	}
	defer r.close()
	if lines, size, err = countLines(r.file); err != nil {
		return 0, 0, fmt.Errorf("count lines: %w", err)
	}
	return lines, size, os.Remove(file.path)
}

func countLines(r io.Reader) (lines, size int64, err error) {
	buf := make([]byte, 256<<10)
	torn := false // the last line has no newline yet
	for {
		n, err := r.Read(buf)
		if n > 0 {
			lines += int64(bytes.Count(buf[:n], []byte{'\n'}))
			size += int64(n)
			torn = !bytes.HasSuffix(buf[:n], []byte{'\n'})
		}
		switch {
		case errors.Is(err, io.EOF):
			if torn {
				lines++
			}
			return lines, size, nil
		case err != nil:
			return 0, 0, err
		}
	}
}

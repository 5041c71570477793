package filelog

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"syscall"
)

var (
	// errTruncated is given once when a file starts with other bytes than before, or
	// is shorter than what was read of it and too short to tell.
	errTruncated = errors.New("truncated")
	// errCut is given once when a file is shorter than what was read of it and still
	// is the same one: all that is left was read.
	errCut = errors.New("cut")
	// errMoved says that another file, or none, is in the place of one that was just
	// listed: it was renamed meanwhile. The next listing has it.
	errMoved = errors.New("moved meanwhile")
)

// lineStart is the byte that every whole line starts with and that is nowhere else
// in one.
const lineStart = 0x1e

// reader reads whole lines of one file. It survives the file's renaming and
// removal.
type reader struct {
	file  *os.File
	inode uint64
	head  []byte // the first bytes that were read

	base     int64  // where buf[0] is in the file: the first line not handed over
	buf      []byte // what was read and not handed over
	skipping bool   // the line at base is too long: what was read of it is gone
	read     int64  // where the next read starts; base+len(buf) unless skipping
	longest  int    // bytes of a line that is kept
	chunk    int    // bytes of a read
}

// openReader opens path at offset. It fails when the file is another one than inode.
// It neither follows a link nor waits for the other end of a pipe, which may have
// taken the file's place since it was listed.
func openReader(f logFile, offset int64, c Config) (*reader, error) {
	file, err := os.OpenFile(f.path, os.O_RDONLY|syscall.O_NOFOLLOW|syscall.O_NONBLOCK, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("open log %s: %w", f.path, errMoved)
	}
	if err != nil {
		return nil, fmt.Errorf("open log: %w", err)
	}
	info, err := file.Stat()
	if err != nil || inodeOf(info) != f.inode {
		file.Close()
		return nil, fmt.Errorf("open log %s: %w", f.path, errMoved)
	}
	r := &reader{file: file, inode: f.inode, base: offset, read: offset, longest: c.lineBytes, chunk: c.readBytes}
	if offset > 0 {
		r.head = readHead(file)
	}
	return r, nil
}

// next gives the lines that are there, newlines included, and the position
// behind them; nothing at the end of the file. The lines are valid until the
// next call. long tells that a line before them was too long to keep.
func (r *reader) next() (lines []byte, long bool, err error) {
	for {
		n, err := r.fill()
		if err != nil || n == 0 {
			return nil, false, err
		}
		end := bytes.LastIndexByte(r.buf, '\n') + 1
		switch {
		case r.skipping:
			if r.skipped() {
				return nil, true, nil
			}
		case end > 0:
			return r.buf[:end], false, nil
		case len(r.buf) < r.longest:
		case bytes.LastIndexByte(r.buf, lineStart) > 0: // behind a long torn one the next has begun
			r.consume(bytes.LastIndexByte(r.buf, lineStart))
			return nil, true, nil
		default:
			r.skipping, r.buf = true, r.buf[:0]
		}
	}
}

// skipped leaves out what was read of a long line, and tells whether that was its
// end: behind a newline, or before the start of another line.
func (r *reader) skipped() bool {
	end := bytes.IndexAny(r.buf, string([]byte{'\n', lineStart}))
	if end < 0 {
		r.buf = r.buf[:0]
		return false
	}
	if r.buf[end] == '\n' {
		end++
	}
	r.consume(end)
	r.skipping, r.base = false, r.read-int64(len(r.buf))
	return true
}

// consume drops the first n bytes of what was read: they were handed over.
func (r *reader) consume(n int) {
	r.base += int64(n)
	r.buf = r.buf[:copy(r.buf, r.buf[n:])]
}

// fill reads more. A whole line that is already there, left by skipping, needs none.
func (r *reader) fill() (int, error) {
	if !r.skipping && bytes.IndexByte(r.buf, '\n') >= 0 {
		return len(r.buf), nil
	}
	at := len(r.buf)
	r.buf = append(r.buf, make([]byte, r.chunk)...)
	n, err := r.file.ReadAt(r.buf[at:], r.read)
	r.buf = r.buf[:at+n]
	if err != nil && !errors.Is(err, io.EOF) {
		return 0, fmt.Errorf("read log: %w", err)
	}
	if err := r.check(); err != nil {
		return 0, err
	}
	r.read += int64(n)
	return n, nil
}

// check finds out whether the file still is the one that was read so far. It
// comes after a read: what was read may be of what was written over it.
func (r *reader) check() error {
	info, err := r.file.Stat()
	if err != nil {
		return fmt.Errorf("read log: %w", err)
	}
	head := readHead(r.file)
	known := len(r.head)
	same := len(head) >= known && bytes.Equal(head[:known], r.head)
	switch {
	case same && info.Size() >= r.read:
	case same && known == headBytes:
		r.base, r.read, r.skipping, r.buf = info.Size(), info.Size(), false, r.buf[:0]
		return errCut
	default:
		r.base, r.read, r.skipping, r.buf, r.head = 0, 0, false, r.buf[:0], nil
		return errTruncated
	}
	r.head = head
	return nil
}

// rest is what stands behind the last newline, once no more will come. long
// tells that it is too long to have been kept.
func (r *reader) rest() (line []byte, long bool) { return r.buf, r.skipping }

// position is the one behind the first n bytes of what was read.
func (r *reader) position(n int) Position {
	return r.at(r.base + int64(n))
}

// end is the position behind everything that was read.
func (r *reader) end() Position { return r.at(r.read) }

func (r *reader) at(offset int64) Position {
	return Position{Inode: r.inode, Fingerprint: fingerprint(r.head, offset), Offset: offset}
}

// size is how large the file is now; 0 when that cannot be told.
func (r *reader) size() int64 {
	info, err := r.file.Stat()
	if err != nil {
		return 0
	}
	return info.Size()
}

func (r *reader) close() { r.file.Close() }

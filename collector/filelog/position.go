package filelog

import (
	"hash/fnv"
	"os"
)

// headBytes is how much of a file's start tells it from others. The first line
// alone holds a time in microseconds and a request id.
const headBytes = 256

// Position is a place in a log file: everything before it was handed over. It
// names the file by inode and by its first bytes, so that it finds the file
// under another name and is not fooled by a new file with an old inode. The
// zero value is the start of whatever is there.
type Position struct {
	Inode       uint64 `json:"inode"`
	Fingerprint uint64 `json:"fingerprint"` // of the file's first min(256, Offset) bytes
	Offset      int64  `json:"offset"`
}

// fingerprint is the one of a position at offset in a file that starts with head.
func fingerprint(head []byte, offset int64) uint64 {
	h := fnv.New64a()
	h.Write(head[:min(int64(len(head)), headBytes, offset)])
	return h.Sum64()
}

// readHead reads the first bytes of a file, fewer when it has fewer.
func readHead(f *os.File) []byte {
	head := make([]byte, headBytes)
	n, _ := f.ReadAt(head, 0) // a short read is what a short file gives
	return head[:n]
}

// within tells whether a file with this head and size can be the one that p is in.
func (p Position) within(head []byte, size int64) bool {
	return size >= p.Offset && fingerprint(head, p.Offset) == p.Fingerprint &&
		int64(len(head)) >= min(headBytes, p.Offset)
}

// cut tells whether a file with this head and size can be the one that p is in,
// after its end was cut off before p: when the machine lost power, the newest
// lines of the file may be gone while the position behind them is not.
func (p Position) cut(head []byte, size int64) bool {
	return size >= headBytes && size < p.Offset && fingerprint(head, p.Offset) == p.Fingerprint
}

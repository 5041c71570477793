package lean

import (
	"bufio"
	"io"
)

// Understand reads an answer to a GET.
func Understand(in io.Reader, most uint64) (a Answer, err error) {
	x := &conn{in: bufio.NewReaderSize(in, 8<<10)}
	h, err := readHead(x.in)
	if err != nil {
		return a, err
	}
	n, err := x.body(h, false, most)
	return Answer{Status: h.status, Bytes: uint64(n)}, err
}

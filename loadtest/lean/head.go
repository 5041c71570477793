package lean

import (
	"bufio"
	"bytes"
	"errors"
	"io"
	"math"
)

// head is what of an answer's head says where it ends.
type head struct {
	status int
	length int64 // of the body, or one of the following
	keep   bool  // the connection may be used again
}

const (
	chunked    int64 = -1
	untilClose int64 = -2

	maxFields = 1000
)

var errHead = errors.New("malformed answer")

// bodyless tells that no body follows whatever the head says.
func (h head) bodyless(isHead bool) bool {
	return isHead || h.status == 204 || h.status == 304
}

// readHead skips interim answers such as 100 and 103.
func readHead(in *bufio.Reader) (h head, err error) {
	for range 10 {
		if h, err = readOne(in); err != nil || h.status >= 200 {
			return h, err
		}
		if h.status == 101 {
			return h, errHead // nobody asked for another protocol
		}
	}
	return h, errHead
}

func readOne(in *bufio.Reader) (h head, err error) {
	line, err := readLine(in)
	if err != nil {
		return h, err
	}
	// HTTP/1.1 200 OK
	if len(line) < 12 || !bytes.HasPrefix(line, []byte("HTTP/1.")) || line[8] != ' ' || (len(line) > 12 && line[12] != ' ') {
		return h, errHead
	}
	for _, d := range line[9:12] {
		if d < '0' || d > '9' {
			return h, errHead
		}
		h.status = 10*h.status + int(d-'0')
	}
	if h.status < 100 || (line[7] != '0' && line[7] != '1') {
		return h, errHead
	}
	h.keep, h.length = line[7] == '1', untilClose
	for range maxFields {
		if line, err = readLine(in); err != nil {
			return h, unexpected(err)
		}
		if len(line) == 0 {
			return h, nil
		}
		if err := h.field(line); err != nil {
			return h, err
		}
	}
	return h, errHead
}

func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

// field reads the three fields that matter.
func (h *head) field(line []byte) error {
	colon := bytes.IndexByte(line, ':')
	if colon <= 0 {
		return errHead
	}
	name, value := line[:colon], bytes.TrimSpace(line[colon+1:])
	switch len(name) {
	case len("Content-Length"):
		if bytes.EqualFold(name, []byte("Content-Length")) && h.length != chunked {
			n, err := number(value)
			if err != nil || (h.length >= 0 && h.length != n) {
				return errHead
			}
			h.length = n
		}
	case len("Transfer-Encoding"):
		if bytes.EqualFold(name, []byte("Transfer-Encoding")) {
			if !bytes.EqualFold(value, []byte("chunked")) {
				return errHead // nothing else was asked for
			}
			h.length = chunked
		}
	case len("Connection"):
		if bytes.EqualFold(name, []byte("Connection")) {
			h.connection(value)
		}
	}
	return nil
}

func (h *head) connection(value []byte) {
	for option := range bytes.SplitSeq(value, []byte(",")) {
		switch option = bytes.TrimSpace(option); {
		case bytes.EqualFold(option, []byte("close")):
			h.keep = false
			return
		case bytes.EqualFold(option, []byte("keep-alive")):
			h.keep = true
		}
	}
}

func number(text []byte) (int64, error) {
	if len(text) == 0 || len(text) > 18 {
		return 0, errHead
	}
	var n int64
	for _, d := range text {
		if d < '0' || d > '9' || n > math.MaxInt64/10-10 {
			return 0, errHead
		}
		n = 10*n + int64(d-'0')
	}
	return n, nil
}

// readLine is without its end, valid until the next read. A line fits into the
// buffer, or the answer is malformed.
func readLine(in *bufio.Reader) ([]byte, error) {
	line, err := in.ReadSlice('\n')
	if errors.Is(err, bufio.ErrBufferFull) {
		return nil, errHead
	}
	if err != nil {
		if len(line) > 0 {
			err = unexpected(err)
		}
		return nil, err
	}
	line = line[:len(line)-1]
	if n := len(line); n > 0 && line[n-1] == '\r' {
		line = line[:n-1]
	}
	return line, nil
}

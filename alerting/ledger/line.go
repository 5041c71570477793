package ledger

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"strconv"
)

// appendLine adds checksum, space, JSON, line end.
func appendLine(b []byte, e Event) ([]byte, error) {
	body, err := json.Marshal(e)
	if err != nil {
		return b, fmt.Errorf("encode event: %w", err)
	}
	return fmt.Appendf(b, "%08x %s\n", crc32.ChecksumIEEE(body), body), nil
}

func decodeLine(line []byte) (e Event, err error) {
	sum, body, _ := bytes.Cut(bytes.TrimSuffix(line, []byte("\n")), []byte(" "))
	want, err := strconv.ParseUint(string(sum), 16, 32)
	if err != nil || crc32.ChecksumIEEE(body) != uint32(want) {
		return e, errors.New("event with a wrong checksum")
	}
	if err := json.Unmarshal(body, &e); err != nil {
		return e, fmt.Errorf("decode event: %w", err)
	}
	return e, nil
}

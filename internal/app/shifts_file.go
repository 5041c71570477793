package app

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"time"

	"github.com/kongdao/kongdao/internal/durable"
	"github.com/kongdao/kongdao/xds"
)

// shifts are what has been moved by hand: zones with less than their share, and
// pods that are out of rotation for a test.
type shifts struct {
	Zones map[string]zoneShift `json:"zones"`
	Pins  map[string]pinLease  `json:"pins"` // by id

	Marked time.Time `json:"marked,omitzero"` // until when requests of stress tests are refused; zero: they are not
}

// zoneShift is a zone with less than its share.
type zoneShift struct {
	Weight int       `json:"weight"` // percent, below 100
	Until  time.Time `json:"until"`  // it is 100 again; zero: never
}

// pinLease is a pod that is out of rotation until a time.
type pinLease struct {
	Pin   xds.Pin   `json:"pin"`
	Until time.Time `json:"until"`
}

// shiftsFile keeps shifts on disk, so that a control plane that is killed comes
// back with the same zones drained. A file is a line with the SHA-256 of what
// follows, in hex, and JSON. It is replaced as a whole: written beside, synced,
// renamed, and the folder synced, so that after a crash there is the old one or the
// new one. The one before is kept too, for a disk that loses what it had.
type shiftsFile struct{ path string }

func (f shiftsFile) before() string { return f.path + ".before" }

// save returns when the shifts are on disk.
func (f shiftsFile) save(s shifts) error {
	body, err := json.Marshal(s)
	if err != nil {
		return fmt.Errorf("shifts: %w", err)
	}
	sum := sha256.Sum256(body)
	text := append([]byte(hex.EncodeToString(sum[:])+"\n"), body...)
	if err := durable.Write(f.path+".new", text, 0o600); err != nil {
		return fmt.Errorf("shifts: %w", err)
	}
	if err := keepBefore(f.path, f.before()); err != nil {
		return fmt.Errorf("shifts: %w", err)
	}
	if err := os.Rename(f.path+".new", f.path); err != nil {
		return fmt.Errorf("shifts: %w", err)
	}
	return durable.SyncDir(filepath.Dir(f.path))
}

// keepBefore makes before a second name of the file, which a rename of another file
// to the first one leaves behind.
func keepBefore(path, before string) error {
	if err := os.Remove(before); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	if err := os.Link(path, before); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

// load reads what save has written; without a file there are no shifts. A damaged
// file is reported and set aside, and the one before it counts: a drained zone must
// not come back for a flipped bit.
func (f shiftsFile) load() (shifts, error) {
	s, err := readShifts(f.path)
	if err == nil || errors.Is(err, fs.ErrNotExist) {
		if errors.Is(err, fs.ErrNotExist) {
			// Nothing is ever without the file once it was there, but for somebody who
			// removed it.
			return shifts{}, nil
		}
		return s, nil
	}
	aside := f.path + ".damaged"
	damage := fmt.Errorf("%s is damaged (%w), set aside as %s", f.path, err, filepath.Base(aside))
	if err := os.Rename(f.path, aside); err != nil {
		return shifts{}, errors.Join(damage, err)
	}
	s, err = readShifts(f.before())
	if err != nil {
		return shifts{}, fmt.Errorf("%w; the one before is of no use either (%w): all zones have their full share", damage, err)
	}
	return s, fmt.Errorf("%w; the one before it counts", damage)
}

var errDamaged = errors.New("checksum does not match")

func readShifts(path string) (s shifts, err error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return s, err
	}
	want, body, _ := bytes.Cut(text, []byte("\n"))
	sum := sha256.Sum256(body)
	if hex.EncodeToString(sum[:]) != string(want) {
		return s, errDamaged
	}
	if err := json.Unmarshal(body, &s); err != nil {
		return s, err
	}
	return s, nil
}

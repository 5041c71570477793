package wal

import (
	"bytes"
	"context"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"

	"go.etcd.io/bbolt"
	"golang.org/x/sys/unix"

	"github.com/kongdao/kongdao/internal/testkit"
)

// BenchmarkAppend is one block of 256 KiB, on disk, for each of so many callers at
// a time; the plain way writes and syncs each block by itself.
func BenchmarkAppend(b *testing.B) {
	e := entryOf(1, 256<<10)
	for _, callers := range []int{1, 8} {
		b.Run(fmt.Sprintf("log/%d", callers), func(b *testing.B) {
			l := open(b, Options{Dir: b.TempDir(), BudgetBytes: 1 << 40, SegmentBytes: 64 << 20})
			b.SetBytes(int64(len(e.Block)))
			b.ReportAllocs()
			b.ResetTimer()
			var wg sync.WaitGroup
			for c := range callers {
				wg.Go(func() {
					for i := c; i < b.N; i += callers {
						if _, err := l.Append(context.Background(), e); err != nil {
							b.Error(err)
						}
					}
				})
			}
			wg.Wait()
		})
	}
	b.Run("plain", func(b *testing.B) {
		f, err := os.Create(filepath.Join(b.TempDir(), "plain"))
		testkit.Must(b, err)
		defer f.Close()
		b.SetBytes(int64(len(e.Block)))
		for range b.N {
			_, err := f.Write(e.Block)
			testkit.Must(b, err)
			testkit.Must(b, f.Sync())
		}
	})
}

// BenchmarkBolt does with bbolt what OpenTelemetry's file storage does for a queue:
// a key an item, put and synced, then read and deleted one after the other.
func BenchmarkBolt(b *testing.B) {
	e := entryOf(1, 256<<10)
	bucket := []byte("queue")
	key := func(i int) []byte { return binary.BigEndian.AppendUint64(nil, uint64(i)) }
	path := filepath.Join(b.TempDir(), "bolt")
	db, err := bbolt.Open(path, 0o600, nil)
	testkit.Must(b, err)
	testkit.Must(b, db.Update(func(tx *bbolt.Tx) error {
		_, err := tx.CreateBucketIfNotExists(bucket)
		return err
	}))
	items := 0
	b.Run("append", func(b *testing.B) {
		b.SetBytes(int64(len(e.Block)))
		for range b.N {
			testkit.Must(b, db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key(items), e.Block) }))
			items++
		}
	})
	b.Run("drain", func(b *testing.B) {
		for ; items < b.N; items++ {
			testkit.Must(b, db.Update(func(tx *bbolt.Tx) error { return tx.Bucket(bucket).Put(key(items), e.Block) }))
		}
		testkit.Must(b, db.Close())
		dropCache(b, path)
		b.SetBytes(int64(len(e.Block)))
		b.ResetTimer()
		db, err = bbolt.Open(path, 0o600, nil)
		testkit.Must(b, err)
		at := items - b.N
		for range b.N {
			testkit.Must(b, db.Update(func(tx *bbolt.Tx) error {
				bytes.Clone(tx.Bucket(bucket).Get(key(at)))
				return tx.Bucket(bucket).Delete(key(at))
			}))
			at++
		}
		items = 0
	})
	testkit.Must(b, db.Close())
}

// dropCache asks the kernel to forget the file, so that it is read from the disk.
func dropCache(b *testing.B, paths ...string) {
	b.Helper()
	for _, path := range paths {
		f, err := os.Open(path)
		testkit.Must(b, err)
		testkit.Must(b, f.Sync())
		testkit.Must(b, unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED))
		testkit.Must(b, f.Close())
	}
}

// BenchmarkDrain opens a log that is not in memory, reads all of it and acknowledges
// each block. Checksums are verified once by Open in the newest segment, and once by
// reading.
func BenchmarkDrain(b *testing.B) {
	e := entryOf(1, 256<<10)
	dir := b.TempDir()
	l := open(b, Options{Dir: dir, BudgetBytes: 1 << 40, SegmentBytes: 64 << 20})
	for range b.N {
		_, err := l.Append(context.Background(), e)
		testkit.Must(b, err)
	}
	testkit.Must(b, l.Close())
	segments, err := filepath.Glob(filepath.Join(dir, "*.wal"))
	testkit.Must(b, err)
	dropCache(b, segments...)
	b.SetBytes(int64(len(e.Block)))
	b.ReportAllocs()
	b.ResetTimer()
	l = open(b, Options{Dir: dir, BudgetBytes: 1 << 40, SegmentBytes: 64 << 20}) // reopening counts
	for range b.N {
		rec, ok, err := l.TryNext()
		if !ok || err != nil {
			b.Fatal(ok, err)
		}
		testkit.Must(b, l.Ack(rec.Seq))
	}
}

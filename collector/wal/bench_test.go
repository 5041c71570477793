package wal

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"sync"
	"testing"
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
		must(b, err)
		defer f.Close()
		b.SetBytes(int64(len(e.Block)))
		for range b.N {
			_, err := f.Write(e.Block)
			must(b, err)
			must(b, f.Sync())
		}
	})
}

func BenchmarkRead(b *testing.B) {
	e := entryOf(1, 256<<10)
	dir := b.TempDir()
	l := open(b, Options{Dir: dir, BudgetBytes: 1 << 40, SegmentBytes: 64 << 20})
	for range b.N {
		_, err := l.Append(context.Background(), e)
		must(b, err)
	}
	must(b, l.Close())
	b.SetBytes(int64(len(e.Block)))
	b.ReportAllocs()
	b.ResetTimer()
	l = open(b, Options{Dir: dir, BudgetBytes: 1 << 40, SegmentBytes: 64 << 20}) // reopening counts
	for range b.N {
		_, ok, err := l.TryNext()
		if !ok || err != nil {
			b.Fatal(ok, err)
		}
	}
}

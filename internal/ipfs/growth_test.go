package ipfs_test

import (
	"io/fs"
	"path/filepath"
	"testing"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
)

// diskOf is how many bytes the files of the block database have.
func (f *fixture) diskOf() (n int64) {
	f.t.Helper()
	if err := filepath.WalkDir(f.dir, func(_ string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() {
			return nil // a table that is no longer needed
		}
		if fi, err := d.Info(); err == nil {
			n += fi.Size()
		}
		return nil
	}); err != nil {
		f.t.Fatal(err)
	}
	return n
}

// A topic is posted to all day, and its id asked for again and again, while the
// folder is one large node that each change replaces: what is on the disk levels
// off at what an hour replaces.
func TestBusyDay(t *testing.T) {
	const (
		names  = 2_000 // in the topic, which one post after another replaces
		hours  = 12
		hourly = 100 // ids asked for in each
		slack  = 48 << 20
	)
	f := open(t, 0)
	topic := comntr.NameHash("busy")
	ids := make([]comntr.Hash, 0, names)
	for i := range names {
		ids = append(ids, f.src.add(topic, doc(i)))
	}
	f.root()
	next := names
	for hour := range hours {
		for range hourly {
			for range 3 {
				f.src.remove(topic, ids[next%names])
				ids[next%names] = f.src.add(topic, doc(next))
				next++
			}
			f.topic(topic)
			f.now = f.now.Add(time.Hour / hourly)
			if err := f.Collect(f.now); err != nil {
				t.Fatal(err)
			}
		}
		f.root()
		c, disk := f.Counters(), f.diskOf()
		t.Logf("hour %2d: %6.1f MB, of which %6.1f MB wait", hour+1, float64(disk)/1e6, float64(c.GraceBytes)/1e6)
		if most := int64(hourly+2) * names * 60; c.GraceBytes > most {
			t.Fatalf("hour %d: %d bytes wait for collection, an hour has at most %d", hour+1, c.GraceBytes, most)
		}
		if disk > c.GraceBytes*2+slack {
			t.Fatalf("hour %d: %d bytes on the disk, of which %d wait for collection", hour+1, disk, c.GraceBytes)
		}
	}
	f.now = f.now.Add(ipfs.Grace + time.Minute)
	f.collect()
	if c := f.Counters(); c.GraceBytes != 0 {
		t.Errorf("%d bytes wait after the hour", c.GraceBytes)
	}
}

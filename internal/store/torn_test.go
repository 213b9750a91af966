package store_test

import (
	"bytes"
	"fmt"
	"log/slog"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr/internal/store"
)

// TestTornJournal damages the index's logs and manifests behind its back, which
// no crash does: they were durable. Each is cut short and has a bit flipped, at
// places all over its tail, in what a killed process leaves and in what a power
// cut leaves.
//
// What a checkpoint has made durable is never lost, because it stands in files of
// its own. Of a killed process nothing at all is: the tree has what the journal
// lost; and where numbers are lost with it there is a new epoch, and an error is
// logged. After a power cut what no checkpoint has made durable may be lost,
// because the journal was all there was of it. Never is there an index that does
// not equal the tree.
func TestTornJournal(t *testing.T) {
	mem := newMem(t)
	p := newPromise()
	s := open(t, data, store.Options{FS: mem})
	texts := func(what string, n int) (texts []string) {
		for i := range n {
			texts = append(texts, fmt.Sprint(what, " ", i))
		}
		return texts
	}
	for turn := range 3 { // each leaves tables and a longer manifest
		for _, text := range texts(fmt.Sprint("old ", turn), 4) {
			if err := p.add(t, s, news, text); err != nil {
				t.Fatal(err)
			}
		}
		if err := p.remove(t, s, news, fmt.Sprint("old ", turn, " 1")); err != nil {
			t.Fatal(err)
		}
		if err := s.Scrub(t.Context()); err != nil { // begins with a checkpoint
			t.Fatal(err)
		}
	}
	checkpointed := p.clone()
	for _, text := range texts("new", 4) {
		if err := p.add(t, s, news, text); err != nil {
			t.Fatal(err)
		}
	}
	if err := p.remove(t, s, news, "old 0 2"); err != nil {
		t.Fatal(err)
	}
	delete(checkpointed.held, news.String()+"/"+id("old 0 2"))
	images := map[string]*vfs.MemFS{
		"killed":    copyOf(t, mem), // the system's cache has all
		"power cut": mem.CrashClone(vfs.CrashCloneCfg{}),
	}
	closeStore(t, s)
	index := mem.PathJoin(data, reddit.String(), ".ipfs", "index")
	for image, from := range images {
		damaged := 0
		for _, name := range list(t, from, index) {
			if !strings.HasSuffix(name, ".log") && !strings.HasPrefix(name, "MANIFEST") {
				continue
			}
			whole := read(t, from, from.PathJoin(index, name))
			step := max(1, len(whole)/120)
			if testing.Short() {
				step *= 6
			}
			for at := 0; at < len(whole); at += step {
				for _, flip := range []bool{false, true} {
					damaged++
					b := bytes.Clone(whole[:at])
					what := fmt.Sprintf("%s: %s cut to %d of %d bytes", image, name, at, len(whole))
					if flip {
						b = bytes.Clone(whole)
						b[at] ^= 0x10
						what = fmt.Sprintf("%s: %s with byte %d of %d altered", image, name, at, len(whole))
					}
					c := copyOf(t, from)
					overwrite(t, c, c.PathJoin(index, name), string(b))
					promised := checkpointed
					if image == "killed" {
						promised = p
					}
					if tornKept(t, c, promised, p, image == "killed"); t.Failed() {
						t.Fatal(what)
					}
				}
			}
		}
		t.Logf("%s: %d damages", image, damaged)
	}
}

func copyOf(t testing.TB, fsys vfs.FS) *vfs.MemFS {
	t.Helper()
	mem := newMem(t)
	if ok, err := vfs.Clone(fsys, mem, data, data, vfs.CloneSync); !ok || err != nil {
		t.Fatal(ok, err)
	}
	return mem
}

// tornKept opens a store whose index was damaged and checks what it promised.
func tornKept(t *testing.T, fsys vfs.FS, promised, last *promise, killed bool) {
	t.Helper()
	named := false // by Check, as damage
	if _, err := store.Check(t.Context(), data, reddit, store.Options{FS: fsys}, func(f store.Fault) {
		named = named || f.Damage()
	}); err != nil {
		t.Errorf("check: %v", err)
	}
	var log bytes.Buffer
	s, err := store.Open(data, reddit, store.Options{FS: fsys, Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelError}))})
	if err != nil {
		t.Fatal(err)
	}
	for name, want := range promised.held {
		topic, id := splitName(name)
		if b, err := s.Read(topic, id); err != nil || string(b) != string(want) {
			t.Errorf("%q is lost: %v", want, err)
		}
	}
	for name := range promised.gone {
		topic, id := splitName(name)
		if b, err := s.Read(topic, id); err == nil {
			t.Errorf("what was removed is back: %q", b)
		}
	}
	back := s.Seq() < last.seq
	if killed && back && s.Epoch() == last.epoch {
		t.Errorf("number %d was given already, up to %d, in this epoch", s.Seq(), last.seq)
	}
	if killed && s.Epoch() != last.epoch && (log.Len() == 0 || !named) {
		t.Errorf("nothing is said of the damage; by check: %v; log: %s", named, &log)
	}
	checkOpen(t, s, data, fsys)
	closeStore(t, s)
	CheckStore(t, data, fsys)
}

package store_test

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

func TestCheck(t *testing.T) {
	for name, c := range map[string]struct {
		hand func(r tree)
		want []string // kind and the comment's text
	}{
		"clean":        {func(r tree) {}, nil},
		"one bit":      {func(r tree) { r.write(news, id("one"), "ond") }, []string{"damaged one"}},
		"emptied":      {func(r tree) { r.write(news, id("one"), "") }, []string{"damaged one"}},
		"longer":       {func(r tree) { r.write(news, id("one"), "one and more") }, []string{"damaged one"}},
		"huge":         {func(r tree) { r.write(news, id("one"), strings.Repeat("x", comntr.MaxDocument+1)) }, []string{"damaged one"}},
		"missing":      {func(r tree) { r.must(os.Remove(r.path(news.String(), id("one")))) }, []string{"missing one"}},
		"a folder":     {func(r tree) { r.must(os.RemoveAll(r.path(news.String()))) }, []string{"missing one", "missing two"}},
		"empty folder": {func(r tree) { r.must(os.Remove(r.path(gifs.String()))) }, []string{"missing "}},
		"a link": {func(r tree) {
			r.must(os.Remove(r.path(news.String(), id("one"))))
			r.must(os.Symlink("two", r.path(news.String(), id("one"))))
		}, []string{"damaged one"}},
		"unknown":       {func(r tree) { r.write(news, id("three"), "three") }, []string{"unknown three"}},
		"unknown topic": {func(r tree) { r.must(os.Mkdir(r.path(comntr.NameHash("x").String()), 0o755)) }, []string{"unknown "}},
		"stray":         {func(r tree) { r.write(news, "x", "three"); r.write(news, id("three"), "trhee") }, []string{"stray ", "stray three"}},
		"no index":      {func(r tree) { r.must(os.RemoveAll(r.path(".ipfs", "index"))) }, []string{"unknown "}},
		"bad index":     {func(r tree) { r.must(scribble(r.path(".ipfs", "index"), "MANIFEST")) }, []string{"index "}},
		"bad table":     {func(r tree) { r.must(scribble(r.path(".ipfs", "index"), ".sst")) }, []string{"index "}},
	} {
		t.Run(name, func(t *testing.T) {
			r := tree{t, t.TempDir()}
			s := open(t, r.dir, store.Options{})
			add(t, s, news, "one")
			add(t, s, news, "two")
			if _, err := s.AddTopic(t.Context(), gifs, ""); err != nil {
				t.Fatal(err)
			}
			closeStore(t, s)
			closeStore(t, open(t, r.dir, store.Options{}))
			c.hand(r)
			before := snapshot(t, r.dir)
			texts := map[string]string{id("one"): "one", id("two"): "two", id("three"): "three"}
			var got []string
			damage := 0
			stats, err := store.Check(t.Context(), r.dir, reddit, store.Options{}, func(f store.Fault) {
				text := fmt.Sprint(f.Kind, " ", texts[f.Comment.String()])
				got = append(got, text)
				if f.Damage() {
					damage++
				}
				if f.Detail == "" {
					t.Errorf("%+v has no detail", f)
				}
			})
			if err != nil {
				t.Fatal(err)
			}
			slices.Sort(got)
			if c.hand != nil && !slices.Equal(slices.Compact(got), c.want) {
				t.Errorf("found %q, want %q", got, c.want)
			}
			if stats.Faults != damage || stats.Faults+stats.Notes < len(got) {
				t.Errorf("%+v, %d of damage", stats, damage)
			}
			if after := snapshot(t, r.dir); after != before {
				t.Errorf("the check changed something:\n%s\nthen\n%s", before, after)
			}
		})
	}
}

// snapshot names every file with its size and time.
func snapshot(t *testing.T, dir string) string {
	t.Helper()
	var b strings.Builder
	err := filepath.Walk(dir, func(path string, fi os.FileInfo, err error) error {
		if err == nil && !fi.IsDir() && fi.Name() != "LOCK" { // Pebble's, always empty

			fmt.Fprintln(&b, path, fi.Size(), fi.ModTime().UnixNano())
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
	return b.String()
}

// What only the journal holds is not missing, and a community that is not
// there cannot be checked.
func TestCheckAfterACrash(t *testing.T) {
	mem := newMem(t)
	s := open(t, data, store.Options{FS: mem})
	add(t, s, news, "one")
	if _, err := s.AddTopic(t.Context(), gifs, ""); err != nil {
		t.Fatal(err)
	}
	crashed := mem.CrashClone(vfs.CrashCloneCfg{})
	closeStore(t, s)
	stats, err := store.Check(t.Context(), data, reddit, store.Options{FS: crashed}, func(f store.Fault) {
		t.Errorf("%+v", f)
	})
	if err != nil || stats.Comments != 1 || stats.Topics != 2 {
		t.Errorf("%+v, %v", stats, err)
	}
	if _, err := store.Check(t.Context(), data, gifs, store.Options{FS: crashed}, func(store.Fault) {}); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("no community: %v", err)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := store.Check(ctx, data, reddit, store.Options{FS: mem}, func(store.Fault) {}); !errors.Is(err, context.Canceled) {
		t.Errorf("cancelled: %v", err)
	}
}

// A folder that other hands take away while the check goes on, and that no start
// has seen, was never there.
func TestCheckOfWhatVanishes(t *testing.T) {
	mem := newMem(t)
	s := open(t, data, store.Options{FS: mem})
	add(t, s, news, "one")
	closeStore(t, s)
	folder := mem.PathJoin(data, reddit.String(), gifs.String())
	if err := mem.MkdirAll(folder, 0o755); err != nil {
		t.Fatal(err)
	}
	f := &faultFS{FS: mem, reads: true}
	f.set(func(_ int, op string) error {
		if strings.HasPrefix(op, "list ") && strings.HasSuffix(op, gifs.String()) {
			return fs.ErrNotExist
		}
		return nil
	}, nil)
	if _, err := store.Check(t.Context(), data, reddit, store.Options{FS: f}, func(f store.Fault) {
		t.Errorf("%+v", f)
	}); err != nil {
		t.Error(err)
	}
}

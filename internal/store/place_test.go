package store_test

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// What a commit finds where its file is to stand, and what becomes of it, is the
// same for files that get their names in place, for those that are moved there by
// descriptors, and for those by paths.
func TestDescriptors(t *testing.T) {
	cases := map[string]func(r tree, path string){
		"nothing":     func(tree, string) {},
		"its folder":  func(r tree, path string) { r.must(os.MkdirAll(filepath.Dir(path), 0o755)) },
		"its bytes":   func(r tree, path string) { r.write(news, id("text"), "text") },
		"other bytes": func(r tree, path string) { r.write(news, id("text"), "taxt") },
		"less":        func(r tree, path string) { r.write(news, id("text"), "t") },
		"a folder":    func(r tree, path string) { r.must(os.MkdirAll(path, 0o755)) },
		"a link": func(r tree, path string) {
			r.must(os.MkdirAll(filepath.Dir(path), 0o755))
			r.must(os.Symlink("elsewhere", path))
		},
		"a file for the topic": func(r tree, path string) { r.must(os.WriteFile(filepath.Dir(path), nil, 0o644)) },
		"a link for the topic": func(r tree, path string) {
			r.must(os.MkdirAll(filepath.Dir(path)+"-", 0o755))
			r.must(os.Symlink(filepath.Dir(path)+"-", filepath.Dir(path)))
		},
	}
	for name, before := range cases {
		t.Run(name, func(t *testing.T) {
			var found []string
			for _, way := range []string{"by names in place", "by descriptors", "by paths"} {
				r := tree{t, t.TempDir()}
				var o store.Options
				if way == "by paths" {
					o.FS = vfs.Default
				}
				s := open(t, r.dir, o)
				if s.ByDescriptors() != (o.FS == nil && store.HasDescriptors) {
					t.Errorf("%s, by descriptors: %v", way, s.ByDescriptors())
				}
				if way == "by descriptors" {
					s.WithNames()
				}
				path := r.path(news.String(), id("text"))
				before(r, path)
				created, err := s.Add(t.Context(), doc(t, news, "text"), "")
				said := "no error"
				if err != nil {
					said = strings.ReplaceAll(err.Error(), r.dir, "")
				}
				b, readErr := os.ReadFile(path)
				// Who is told that it is here can have it, and the next start agrees.
				_, held := s.Read(news, comntr.SumHash([]byte("text")))
				other := add(t, s, gifs, "another goes on")
				if _, err := s.Read(gifs, other); err != nil {
					t.Error(err)
				}
				tmp, _ := os.ReadDir(filepath.Join(r.dir, reddit.String(), ".ipfs", "tmp"))
				closeStore(t, s)
				if n := openFiles(r.dir); len(n) > 0 {
					t.Errorf("%s, left open: %q", way, n)
				}
				found = append(found, fmt.Sprintf("created %v, %s; there: %q %v, held %v, %d in tmp", created, said, b, readErr == nil, held == nil, len(tmp)))
				if err == nil {
					if held := CheckStore(t, r.dir, vfs.Default); len(held) != 2 {
						t.Errorf("held: %v", held)
					}
				}
			}
			if found[0] != found[1] || found[1] != found[2] {
				t.Errorf("by names in place: %s\nby descriptors: %s\nby paths: %s", found[0], found[1], found[2])
			}
			if !strings.HasSuffix(found[0], " 0 in tmp") {
				t.Error(found[0])
			}
		})
	}
}

// openFiles are the files below dir, and those that have no name there, that this
// process has open, where the system tells.
func openFiles(dir string) []string {
	var open []string
	fds, _ := filepath.Glob("/proc/self/fd/*")
	for _, fd := range fds {
		if name, err := os.Readlink(fd); err == nil && strings.HasPrefix(name, dir+"/") {
			open = append(open, strings.TrimPrefix(name, dir))
		}
	}
	return open
}

// Of a commit's files no more than a bound are open at a time, and all are there.
func TestManyFiles(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	defer closeStore(t, s)
	checkMany(t, dir, s.AddAll(t.Context(), manyDocs(t, 2*store.MaxLoose+3), ""))
}

func manyDocs(t *testing.T, n int) []*comntr.Document {
	var docs []*comntr.Document
	for i := range n {
		docs = append(docs, doc(t, news, fmt.Sprint(i)))
	}
	return docs
}

// checkMany checks that manyDocs were stored.
func checkMany(t *testing.T, dir string, results []store.Result) {
	t.Helper()
	for i, d := range manyDocs(t, len(results)) {
		if r := results[i]; r.Err != nil || !r.Created {
			t.Errorf("%d: %+v", i, r)
		}
		if b, err := os.ReadFile(treePath(vfs.Default, dir, news, d.ID())); err != nil || !bytes.Equal(b, d.Bytes()) {
			t.Errorf("%s: %q, %v", d.ID(), b, err)
		}
	}
}

// Files are begun to be written after their answers, when other hands may have put
// anything in their places: nothing waits for it, and nothing comes of it.
func TestBeginEarly(t *testing.T) {
	if !store.HasDescriptors {
		return
	}
	for name, put := range map[string]func(path string) error{
		"nothing":   func(string) error { return nil },
		"its bytes": func(path string) error { return os.WriteFile(path, []byte("text"), 0o644) },
		"a folder":  func(path string) error { return os.Mkdir(path, 0o755) },
		"a pipe":    func(path string) error { return syscall.Mkfifo(path, 0o644) },
		"a link to a pipe": func(path string) error {
			return errors.Join(syscall.Mkfifo(path+".pipe", 0o644), os.Symlink(path+".pipe", path))
		},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open(t, dir, store.Options{})
			defer closeStore(t, s)
			d := doc(t, news, "text")
			mustAdd(t, s, d)
			path := treePath(vfs.Default, dir, news, d.ID())
			if err := errors.Join(os.Remove(path), put(path)); err != nil {
				t.Fatal(err)
			}
			s.BeginEarly(news, d.ID())
		})
	}
}

// A log has its length from the first, so that a sync of it is nothing else, and
// what comes after its end is no damage to a store that died.
func TestLogsAreFilled(t *testing.T) {
	dir := t.TempDir()
	s := open(t, dir, store.Options{})
	add(t, s, news, "one")
	logs, err := filepath.Glob(filepath.Join(dir, reddit.String(), ".ipfs", "index", "*.log"))
	if err != nil || len(logs) == 0 {
		t.Fatal(logs, err)
	}
	for _, log := range logs {
		if fi, err := os.Stat(log); err != nil || fi.Size() < store.LogLength {
			t.Errorf("%v: %v", fi, err)
		}
	}
	died := t.TempDir()
	if err := os.CopyFS(died, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	closeStore(t, s)
	s = open(t, died, store.Options{})
	defer closeStore(t, s)
	if b, err := s.Read(news, comntr.SumHash([]byte("one"))); err != nil || string(b) != "one" {
		t.Errorf("%q, %v", b, err)
	}
}

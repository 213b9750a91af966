package store_test

import (
	"errors"
	"os"
	"strings"
	"sync"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// faultFS numbers the operations that change a file system and asks before
// and after each one whether it is to fail: an error before it stands for "not
// persisted", one after it for "persisted, but reported as failed".
type faultFS struct {
	vfs.FS
	mu     sync.Mutex
	n      int
	hidden func(path string) bool // operations that are not numbered; nil: none
	reads  bool                   // opening, reading and listing are numbered too
	before func(n int, op string) error
	after  func(n int, op string) error
}

// errSkip makes an operation do nothing and say that it was done.
var errSkip = errors.New("skip")

func (f *faultFS) do(kind, path string, fn func() error) error {
	if f.hidden != nil && f.hidden(path) {
		return fn()
	}
	f.mu.Lock()
	f.n++
	n := f.n
	before, after := f.before, f.after
	f.mu.Unlock()
	op := kind + " " + path
	if before != nil {
		if err := before(n, op); err == errSkip {
			return nil
		} else if err != nil {
			return err
		}
	}
	if err := fn(); err != nil {
		return err
	}
	if after != nil {
		return after(n, op)
	}
	return nil
}

func (f *faultFS) set(before, after func(n int, op string) error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.before, f.after = before, after
}

func (f *faultFS) count() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.n
}

func (f *faultFS) Unwrap() vfs.FS { return f.FS }

func (f *faultFS) file(kind, path string, open func() (vfs.File, error)) (vfs.File, error) {
	var file vfs.File
	fn := func() (err error) {
		file, err = open()
		return err
	}
	var err error
	if kind == "open" && !f.reads {
		err = fn()
	} else {
		err = f.do(kind, path, fn)
	}
	if err != nil {
		if file != nil {
			file.Close()
		}
		return nil, err
	}
	return &faultFile{file, f, path}, nil
}

func (f *faultFS) Create(name string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file("create", name, func() (vfs.File, error) { return f.FS.Create(name, c) })
}

func (f *faultFS) Open(name string, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.file("open", name, func() (vfs.File, error) { return f.FS.Open(name, opts...) })
}

func (f *faultFS) OpenDir(name string) (vfs.File, error) {
	return f.file("open", name, func() (vfs.File, error) { return f.FS.OpenDir(name) })
}

func (f *faultFS) OpenReadWrite(name string, c vfs.DiskWriteCategory, opts ...vfs.OpenOption) (vfs.File, error) {
	return f.file("openrw", name, func() (vfs.File, error) { return f.FS.OpenReadWrite(name, c, opts...) })
}

func (f *faultFS) ReuseForWrite(old, new string, c vfs.DiskWriteCategory) (vfs.File, error) {
	return f.file("reuse", new, func() (vfs.File, error) { return f.FS.ReuseForWrite(old, new, c) })
}

func (f *faultFS) List(dir string) (names []string, err error) {
	if !f.reads {
		return f.FS.List(dir)
	}
	err = f.do("list", dir, func() error {
		names, err = f.FS.List(dir)
		return err
	})
	if err != nil {
		return nil, err
	}
	return names, nil
}

func (f *faultFS) Stat(path string) (fi vfs.FileInfo, err error) {
	if !f.reads {
		return f.FS.Stat(path)
	}
	err = f.do("stat", path, func() error {
		fi, err = f.FS.Stat(path)
		return err
	})
	if err != nil {
		return nil, err
	}
	return fi, nil
}

func (f *faultFS) Link(old, new string) error {
	return f.do("link", new, func() error { return f.FS.Link(old, new) })
}

func (f *faultFS) Remove(name string) error {
	return f.do("remove", name, func() error { return f.FS.Remove(name) })
}

func (f *faultFS) RemoveAll(name string) error {
	return f.do("removeall", name, func() error { return f.FS.RemoveAll(name) })
}

func (f *faultFS) Rename(old, new string) error {
	return f.do("rename", new, func() error { return f.FS.Rename(old, new) })
}

func (f *faultFS) MkdirAll(dir string, mode os.FileMode) error {
	return f.do("mkdir", dir, func() error { return f.FS.MkdirAll(dir, mode) })
}

type faultFile struct {
	vfs.File
	fs   *faultFS
	path string
}

func (f *faultFile) Write(b []byte) (n int, err error) {
	err = f.fs.do("write", f.path, func() (err error) {
		n, err = f.File.Write(b)
		return err
	})
	return n, err
}

func (f *faultFile) Read(b []byte) (n int, err error) {
	if !f.fs.reads {
		return f.File.Read(b)
	}
	err = f.fs.do("read", f.path, func() (err error) {
		n, err = f.File.Read(b)
		return err
	})
	return n, err
}

func (f *faultFile) WriteAt(b []byte, at int64) (n int, err error) {
	err = f.fs.do("write", f.path, func() (err error) {
		n, err = f.File.WriteAt(b, at)
		return err
	})
	return n, err
}

func (f *faultFile) Sync() error { return f.fs.do("sync", f.path, f.File.Sync) }

func (f *faultFile) SyncData() error { return f.fs.do("sync", f.path, f.File.SyncData) }

func (f *faultFile) SyncTo(n int64) (full bool, err error) {
	err = f.fs.do("sync", f.path, func() (err error) {
		full, err = f.File.SyncTo(n)
		return err
	})
	return full, err
}

// inIndex tells Pebble's files from those of the tree.
func inIndex(path string) bool { return strings.Contains(path, "/index") }

package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"time"

	"github.com/comntr/comntr"
)

const (
	denyFileName = "deny.txt"
	// denyLook is the time between two looks at the deny list. A change counts
	// when two looks see the same: an editor may still be writing.
	denyLook = time.Second
	// denyErrorsLogged is how many bad lines are named one by one.
	denyErrorsLogged = 20
)

// denyFile is the operator's deny list, <data>/deny.txt.
type denyFile struct {
	path string
	log  *slog.Logger
	read denyStamp // of what was read last
	last *comntr.Denylist
}

// denyStamp tells one state of the file from another; zero: there is none.
type denyStamp struct {
	size  int64
	mtime time.Time
}

func newDenyFile(data string, log *slog.Logger) *denyFile {
	return &denyFile{path: filepath.Join(data, denyFileName), log: log}
}

func (f *denyFile) stamp() (denyStamp, error) {
	fi, err := os.Stat(f.path)
	if errors.Is(err, fs.ErrNotExist) {
		return denyStamp{}, nil
	}
	if err != nil {
		return denyStamp{}, err
	}
	return denyStamp{fi.Size(), fi.ModTime()}, nil
}

// load reads the list; a file that is not there is an empty one. Lines that
// cannot be read are logged, and the others hold.
func (f *denyFile) load() (*comntr.Denylist, error) {
	stamp, err := f.stamp()
	if err != nil {
		return nil, fmt.Errorf("read the deny list: %w", err)
	}
	var text []byte
	if stamp != (denyStamp{}) {
		file, err := os.Open(f.path)
		if err != nil {
			return nil, fmt.Errorf("read the deny list: %w", err)
		}
		defer file.Close()
		if text, err = io.ReadAll(io.LimitReader(file, comntr.MaxDenylist+1)); err != nil {
			return nil, fmt.Errorf("read the deny list %s: %w", f.path, err)
		}
	}
	f.read = stamp
	list, bad := comntr.ParseDenylist(text)
	if len(bad) > 0 && list.Len() == 0 && f.last.Len() > 0 {
		return nil, fmt.Errorf("nothing of it can be read: %w", bad[0])
	}
	f.last = list
	for i, e := range bad {
		if i == denyErrorsLogged {
			f.log.Warn("more lines of the deny list cannot be read", "count", len(bad)-i)
			break
		}
		f.log.Warn("a line of the deny list cannot be read, and denies nothing", "file", f.path, "line", e.Line, "text", printable(e.Text), "err", e.Detail)
	}
	if stamp != (denyStamp{}) {
		f.log.Info("the deny list is in force", "file", f.path, "rules", list.Len())
	}
	return list, nil
}

// follow applies the list that was loaded, then every change of the file.
func (f *denyFile) follow(ctx context.Context, list *comntr.Denylist, served []community) error {
	apply := func(list *comntr.Denylist) {
		for _, s := range served {
			if err := s.store.SetDenylist(ctx, list); err != nil && ctx.Err() == nil {
				f.log.Error("the deny list could not be applied to all that is here; nothing of what it denies is given, and it is tried again at the next start or change", "community", s.id, "err", err)
			}
		}
	}
	apply(list)
	t := time.NewTicker(denyLook)
	defer t.Stop()
	seen := f.read
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-t.C:
		}
		stamp, err := f.stamp()
		if err != nil {
			continue // what was read last stays in force
		}
		if settled := stamp == seen; !settled || stamp == f.read {
			seen = stamp
			continue
		}
		if list, err = f.load(); err != nil {
			f.log.Error("the deny list changed and cannot be read: the last one stays in force", "err", err)
			f.read = stamp
			continue
		}
		apply(list)
	}
}

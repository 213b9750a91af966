package store

import (
	"errors"
	"fmt"
	"io/fs"

	"github.com/comntr/comntr"
)

// Restore puts the files of documents of one community back into its tree,
// durably, and answers for each in the same order. The store must be closed, and
// its index stays as it is: it knows them already, or adopts them at the next
// start. A file that has its bytes is left alone. Like a commit it writes beside
// the tree, syncs, renames, and syncs the folder: whenever the power goes, what
// stands under the name is the old file or the right one. Errors: ErrDenied,
// ErrFull, others of the disk.
func Restore(data string, community comntr.Hash, docs []*comntr.Document, o Options) []error {
	o.Disk = nil // nothing is to be counted
	s := newStore(data, community, o)
	errs := make([]error, len(docs))
	fail := func(err error) []error {
		for i := range errs {
			errs[i] = err
		}
		return errs
	}
	if err := s.makeFolders(data); err != nil {
		return fail(fmt.Errorf("make the folder of community %s: %w", community, err))
	}
	folder, err := s.fs.OpenDir(s.dir)
	if err != nil {
		return fail(fmt.Errorf("open the folder of community %s: %w", community, err))
	}
	s.setFolder(folder)
	topics := make(map[comntr.Hash]struct{})
	for i, doc := range docs {
		if errs[i] = s.restore(doc); errs[i] == nil {
			topics[doc.Place().Topic] = struct{}{}
		}
	}
	if err := errors.Join(s.syncFolders(topics), folder.Close()); err != nil {
		return fail(fmt.Errorf("make restored files durable: %w", err))
	}
	return errs
}

// RestoreTopic makes a topic's folder that is missing, as Restore does files.
func RestoreTopic(data string, community, topic comntr.Hash, o Options) error {
	s := newStore(data, community, o)
	if s.Denied(topic) {
		return ErrDenied
	}
	if err := s.fs.MkdirAll(s.topicPath(topic), folderMode); err != nil {
		return err
	}
	return s.syncFolder(s.dir)
}

func (s *Store) restore(doc *comntr.Document) error {
	topic, id := doc.Place().Topic, doc.ID()
	if doc.Place().Community != s.community {
		return fmt.Errorf("the document stands in community %s, not in %s", doc.Place().Community, s.community)
	}
	if rule, denied := s.denies(doc); denied {
		return fmt.Errorf("%w (line %d)", ErrDenied, rule.Line)
	}
	if err := s.fs.MkdirAll(s.topicPath(topic), folderMode); err != nil {
		return diskError(err)
	}
	path := s.path(topic, id)
	_, same, err := s.holds(path, doc.Bytes())
	if err != nil {
		return err
	}
	if same {
		return s.syncFile(path) // it may be right in the cache alone
	}
	if err := s.placeSynced(path, doc.Bytes()); err != nil {
		return diskError(err)
	}
	return nil
}

// placeSynced is place, with the file durable before it has its name.
func (s *Store) placeSynced(path string, b []byte) error {
	tmp := s.fs.PathJoin(s.tmp, "restored-"+s.tmpNames.take())
	f, err := s.fs.Create(tmp, writeCategory)
	if err == nil {
		_, err = f.Write(append([]byte(nil), b...)) // a vfs.File may change what it is given
		if err == nil {
			err = f.Sync()
		}
		if err = errors.Join(err, f.Close()); err == nil {
			err = s.fs.Rename(tmp, path)
		}
	}
	if err != nil {
		s.fs.Remove(tmp) // what is left is removed at the next start
	}
	return err
}

// Rebuild moves a closed store's index aside and builds it again from the files.
// What only the index knew is lost: who gave what, and what vanished.
func Rebuild(data string, community comntr.Hash, o Options) error {
	s := newStore(data, community, o)
	if err := s.moveIndexAside(); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("move the index of community %s aside: %w", community, err)
	}
	opened, err := Open(data, community, o)
	if err != nil {
		return err
	}
	return opened.Close()
}

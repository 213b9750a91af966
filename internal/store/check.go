package store

import (
	"context"
	"errors"
	"fmt"
	"io/fs"

	"github.com/cockroachdb/pebble/v2"

	"github.com/comntr/comntr"
)

// Kinds of what Check finds. Those of a note are no damage: the next start
// puts them right or leaves them alone.
const (
	FaultDamaged = "damaged" // the file's SHA-1 is not its name
	FaultInvalid = "invalid" // the SHA-1 is right, but it is no valid document for its topic
	FaultMissing = "missing" // the index has it, the folder has not
	FaultIndex   = "index"   // the index contradicts itself or cannot be read

	NoteUnknown = "unknown" // a comment or topic the index does not know yet
	NoteStray   = "stray"   // neither a comment nor a topic
	NoteGone    = "gone"    // removed, its file not yet
)

// Fault is one thing that Check found. Topic and Comment are zero where it is
// not about one.
type Fault struct {
	Topic, Comment comntr.Hash
	Kind           string
	Detail         string
	// Lost: the bytes that the comment's name stands for are not here. Other
	// servers may have them, and Restore puts them back.
	Lost bool
}

// Damage tells a fault from a note.
func (f Fault) Damage() bool {
	switch f.Kind {
	case FaultDamaged, FaultInvalid, FaultMissing, FaultIndex:
		return true
	}
	return false
}

// CheckStats is how much Check looked at, and what it found.
type CheckStats struct {
	Topics, Comments int
	Bytes            int64
	Faults, Notes    int
}

// Check reads and hashes every file of a community and compares the tree with
// the index. It changes nothing. The store must be closed. What only the
// journal holds yet is not missing: the next start writes it. An error means
// that the check itself failed.
func Check(ctx context.Context, data string, community comntr.Hash, o Options, report func(Fault)) (CheckStats, error) {
	c := newCheck(ctx, data, community, o, report)
	err := c.run()
	return c.stats, err
}

type check struct {
	ctx     context.Context
	s       *Store
	report  func(Fault)
	stats   CheckStats
	journal map[key]byte // the last operation the journal has for a file
	indexed bool
	acts    topicActs // of the topic that is looked at
}

func newCheck(ctx context.Context, data string, community comntr.Hash, o Options, report func(Fault)) *check {
	o.Disk = nil // nothing is to be counted twice
	return &check{ctx: ctx, s: newStore(data, community, o), report: report, journal: make(map[key]byte)}
}

// open opens the folder and the index for reading; close must follow.
func (c *check) open() error {
	folder, err := c.s.fs.OpenDir(c.s.dir)
	if err != nil {
		return fmt.Errorf("open the folder of community %s: %w", c.s.community, err)
	}
	c.s.setFolder(folder)
	if err := c.openIndex(); err != nil {
		return errors.Join(err, folder.Close())
	}
	return nil
}

func (c *check) close() error {
	var err error
	if c.indexed {
		err = c.s.db.Close()
	}
	return errors.Join(err, c.s.folder.Close())
}

func (c *check) found(f Fault) {
	if f.Damage() {
		c.stats.Faults++
	} else {
		c.stats.Notes++
	}
	c.report(f)
}

func (c *check) run() (err error) {
	s := c.s
	if err := c.open(); err != nil {
		return err
	}
	defer func() { err = errors.Join(err, c.close()) }()
	names, err := s.fs.List(s.dir)
	if err != nil {
		return err
	}
	there := make(map[comntr.Hash]bool)
	for _, name := range names {
		if name == ".ipfs" {
			continue
		}
		h, err := comntr.ParseHash(name)
		isDir := false
		if err == nil {
			if isDir, err = c.isDir(h); err != nil {
				return err
			}
		}
		if !isDir {
			c.found(Fault{Kind: NoteStray, Detail: fmt.Sprintf("%q is no topic folder", name)})
			continue
		}
		there[h] = true
		if err := c.topic(h); err != nil {
			return err
		}
	}
	for h, t := range s.topics {
		if t.exists && !there[h] {
			if err := c.topic(h); err != nil {
				return err
			}
		}
	}
	return nil
}

func (c *check) isDir(topic comntr.Hash) (bool, error) {
	fi, err := c.s.lstat(c.s.topicPath(topic))
	return err == nil && fi.IsDir(), err
}

// openIndex opens the index for reading and loads its topics. One that is not
// there is a note, one that cannot be used a fault: both are built again from
// the files at the next start.
func (c *check) openIndex() error {
	s := c.s
	o := s.pebbleOptions()
	o.ReadOnly = true
	o.ErrorIfNotExists = true
	_, err := s.fs.Stat(s.indexPath())
	var db *pebble.DB
	if err == nil {
		if db, err = pebble.Open(s.indexPath(), o); errors.Is(err, fs.ErrNotExist) {
			err = fmt.Errorf("%w: %w", errIncomplete, err)
		}
	}
	if errors.Is(err, pebble.ErrDBDoesNotExist) || errors.Is(err, fs.ErrNotExist) && !errors.Is(err, errIncomplete) {
		c.found(Fault{Kind: NoteUnknown, Detail: "there is no index: it is built from the files at the next start"})
		return nil
	}
	if err == nil {
		s.db = db
		if err = c.loadIndex(); err == nil {
			c.indexed = true
			return nil
		}
		err = errors.Join(err, db.Close())
	}
	if errors.Is(err, pebble.ErrNotFound) { // it has no format: a start would make it anew
		if lost := c.lostCommits(true); lost == 0 {
			c.found(Fault{Kind: NoteUnknown, Detail: "the index is empty: it is built from the files at the next start"})
		} else {
			c.found(Fault{Kind: FaultIndex, Detail: fmt.Sprintf("the index lost all its %d changes: it is built again from the files at the next start", lost)})
		}
		return nil
	}
	if !unusable(err) {
		return fmt.Errorf("open the index of community %s: %w", s.community, err)
	}
	clear(s.topics)
	c.found(Fault{Kind: FaultIndex, Detail: fmt.Sprintf("the index cannot be used: %v", err)})
	return nil
}

func (c *check) loadIndex() error {
	if err := c.s.loadFormat(); err != nil {
		return err
	}
	if err := c.s.loadTopics(); err != nil {
		return err
	}
	if err := c.s.verifyCounts(); err != nil {
		return err
	}
	if lost := c.lostCommits(false); lost > 0 {
		c.found(Fault{Kind: FaultIndex, Detail: fmt.Sprintf(
			"the index lost its last %d changes, which were durable: the disk damaged its log; the next start looks in the files for what they brought", lost)})
	}
	return c.s.scanJournal(c.s.seq, func(e journalEntry) error {
		c.journal[key{e.topic, e.comment}] = e.op
		return nil
	})
}

// lostCommits opens the index's witness for reading, if there is one.
func (c *check) lostCommits(fresh bool) uint64 {
	f, err := c.s.fs.Open(c.s.fs.PathJoin(c.s.hidden, witnessName))
	if err != nil {
		return 0
	}
	c.s.witness.f = f
	defer c.s.witness.close()
	return c.s.lostCommits(fresh)
}

// topic compares one topic's folder with its entries.
func (c *check) topic(topic comntr.Hash) error {
	c.stats.Topics++
	s := c.s
	list, err := s.fs.List(s.topicPath(topic))
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	t := s.topics[topic]
	switch {
	case err != nil && c.journal[key{topic: topic}] != opFolder && t != nil && t.count == 0:
		c.found(Fault{Topic: topic, Kind: FaultMissing, Detail: "the topic's folder is missing"})
	case err == nil && c.indexed && (t == nil || !t.exists):
		c.found(Fault{Topic: topic, Kind: NoteUnknown, Detail: "the index does not know the topic yet"})
	}
	c.acts = topicActs{wanted: t != nil && t.deletes, deletes: make(map[removal]comntr.Hash)}
	unseen := make(map[comntr.Hash]struct{}, len(list))
	for _, name := range list {
		h, err := comntr.ParseHash(name)
		if err != nil {
			c.found(Fault{Topic: topic, Kind: NoteStray, Detail: fmt.Sprintf("%q is no comment's name", name)})
			continue
		}
		unseen[h] = struct{}{}
	}
	if c.indexed {
		if err := c.entries(t, topic, unseen); err != nil {
			return err
		}
	}
	for h := range unseen {
		size, kind, detail := c.file(topic, h)
		switch {
		case kind == "":
			c.stats.Comments++
			c.stats.Bytes += size
			if c.indexed {
				c.found(Fault{Topic: topic, Comment: h, Kind: NoteUnknown, Detail: "the index does not know the comment yet"})
			}
		case kind == FaultMissing:
			return fmt.Errorf("%s/%s vanished during the check: is the server stopped?", topic, h)
		case kind == FaultDamaged, kind == FaultInvalid:
			c.found(Fault{Topic: topic, Comment: h, Kind: NoteStray, Detail: "the index does not know it, and it will be left alone: " + detail, Lost: kind == FaultDamaged})
		default:
			c.found(Fault{Topic: topic, Comment: h, Kind: kind, Detail: detail})
		}
		if err := c.ctx.Err(); err != nil {
			return err
		}
	}
	return nil
}

// entries looks at every entry of a topic and strikes its name off unseen.
func (c *check) entries(t *topic, topicHash comntr.Hash, unseen map[comntr.Hash]struct{}) error {
	listed, files, bytes := 0, 0, int64(0)
	err := c.s.scan(within(topicKey(keyComment, topicHash)), func(k, v []byte) error {
		if err := c.ctx.Err(); err != nil {
			return err
		}
		comment, e, err := decodeComment(k, v)
		if err != nil {
			return err
		}
		_, stands := unseen[comment]
		delete(unseen, comment)
		if !e.held() {
			if stands {
				c.found(Fault{Topic: topicHash, Comment: comment, Kind: NoteGone, Detail: "it was taken away, by its author or the deny list; the next start unlinks the file"})
			}
			return nil
		}
		c.acts.listed = e.state == stateListed
		files++
		bytes += int64(e.size)
		if e.state == stateListed {
			listed++
		}
		c.stats.Comments++
		c.stats.Bytes += int64(e.size)
		if !stands {
			if c.journal[key{topicHash, comment}] != opAdd {
				c.found(Fault{Topic: topicHash, Comment: comment, Kind: FaultMissing, Detail: "the file is missing", Lost: true})
			}
			return nil
		}
		size, kind, detail := c.file(topicHash, comment)
		switch {
		case kind != "" && c.journal[key{topicHash, comment}] == opAdd:
			// The next start writes it anew.
		case kind == NoteStray:
			c.found(Fault{Topic: topicHash, Comment: comment, Kind: FaultDamaged, Detail: detail})
		case kind != "":
			c.found(Fault{Topic: topicHash, Comment: comment, Kind: kind, Detail: detail, Lost: kind == FaultDamaged})
		case size != int64(e.size):
			c.found(Fault{Topic: topicHash, Comment: comment, Kind: FaultIndex, Detail: fmt.Sprintf("the index says %d bytes, the file has %d", e.size, size)})
		}
		return nil
	})
	if err != nil && unusable(err) {
		c.found(Fault{Topic: topicHash, Kind: FaultIndex, Detail: fmt.Sprintf("the index cannot be read: %v", err)})
		return nil
	}
	if err != nil {
		return err
	}
	c.acts.judge(func(comment, by comntr.Hash) {
		c.found(Fault{Topic: topicHash, Comment: comment, Kind: FaultIndex, Detail: fmt.Sprintf("its author's delete %s is listed, and it is still here", by)})
	})
	if t == nil {
		t = &topic{hash: topicHash}
	}
	if t.count != listed || t.files != files || t.bytes != bytes {
		c.found(Fault{Topic: topicHash, Kind: FaultIndex,
			Detail: fmt.Sprintf("the index counts %d listed, %d files, %d bytes; its entries are %d, %d, %d", t.count, t.files, t.bytes, listed, files, bytes)})
	}
	return nil
}

// file reads one file; kind is "" if it is what its name says.
func (c *check) file(topic, comment comntr.Hash) (size int64, kind, detail string) {
	path := c.s.path(topic, comment)
	fi, err := c.s.lstat(path)
	if errors.Is(err, fs.ErrNotExist) {
		return 0, FaultMissing, "the file is missing"
	}
	if err != nil {
		return 0, FaultDamaged, err.Error()
	}
	if !fi.Mode().IsRegular() {
		return 0, NoteStray, "it is no regular file"
	}
	if fi.Size() > comntr.MaxDocument {
		return fi.Size(), FaultDamaged, fmt.Sprintf("it has %d bytes, more than any document", fi.Size())
	}
	b, err := c.s.readFile(path, fi.Size())
	if err != nil {
		return 0, FaultDamaged, err.Error()
	}
	if sum := comntr.SumHash(b); sum != comment {
		return fi.Size(), FaultDamaged, fmt.Sprintf("its SHA-1 is %s", sum)
	}
	doc, err := comntr.ParseDocument(comntr.Place{Community: c.s.community, Topic: topic}, b)
	if err != nil {
		return fi.Size(), FaultInvalid, err.Error()
	}
	c.acts.note(doc)
	return fi.Size(), "", ""
}

// topicActs is what the signed documents of a topic say of deleting one
// another.
type topicActs struct {
	wanted  bool // whether the topic has deletes at all
	listed  bool // whether the document that comes next is
	deletes map[removal]comntr.Hash
	others  []removable
}

// removal is a target, and who deletes it.
type removal struct {
	target comntr.Hash
	by     [32]byte
}

// removable is a document, and what its author may delete it by: its own id or,
// of an edit, the target's.
type removable struct {
	id  comntr.Hash
	ids [2]removal
}

func (a *topicActs) note(doc *comntr.Document) {
	target, ok := doc.Target()
	switch {
	case !a.wanted, !doc.Signed():
	case doc.Kind() != comntr.KindDelete:
		own := removal{doc.ID(), doc.Key()}
		r := removable{doc.ID(), [2]removal{own, own}}
		if ok && doc.Kind() == comntr.KindEdit {
			r.ids[1].target = target
		}
		a.others = append(a.others, r)
	case ok && a.listed:
		a.deletes[removal{target, doc.Key()}] = doc.ID()
	}
}

// judge calls fn with each document that is there and should not be.
func (a *topicActs) judge(fn func(comment, by comntr.Hash)) {
	for _, o := range a.others {
		for _, r := range o.ids {
			if by, removed := a.deletes[r]; removed {
				fn(o.id, by)
				break
			}
		}
	}
}

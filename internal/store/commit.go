package store

import (
	"fmt"
	"time"

	"github.com/comntr/comntr"
)

// Bounds of a commit and of what may wait for one.
const (
	maxBatchItems = 4096
	maxBatchBytes = 8 << 20
	maxRequests   = 256 // waiting requests; more wait in Add
	maxChunkItems = 1024
	maxChunkBytes = 2 << 20 // of one AddAll: in several requests, so that others get in between

	// gatherTime is how long a commit waits for others of the crowd, where many
	// post at a time. Who posts alone never waits.
	gatherTime = time.Millisecond
)

const (
	itemAdd       = iota // a document
	itemTopic            // an empty topic folder
	itemStrike           // a comment that is to be taken away
	itemForget           // a comment that the deny list no longer denies
	itemDropTopic        // the folder of a topic that the deny list denies
	itemLoosen           // nothing: what was never here may be allowed now
)

// item is one thing asked of the committer.
type item struct {
	kind    int
	doc     *comntr.Document // itemAdd
	topic   comntr.Hash
	comment comntr.Hash // itemStrike, itemForget
	state   byte        // itemStrike: what becomes of it
	from    string
}

func (it *item) size() int {
	if it.doc == nil {
		return 0
	}
	return it.doc.Size()
}

// request is what one caller waits for. results belongs to the committer
// until done is closed.
type request struct {
	items   []item
	results []Result
	done    chan struct{}
}

// work is an item of the commit under way and the place for its result.
type work struct {
	*item
	result *Result
}

// group is what is committed as one.
type group struct {
	requests []*request
	batch    []work // what has no result yet
	all      []work
	start    time.Time
	plan     *plan
	failed   map[int]error // of batch; set before placed is closed
	placed   chan struct{} // closed when it was answered, or has failed
	crowd    int           // Store.crowd when it was gathered
}

// commits is the committer: it takes all that waits, up to a bound, commits
// it as one, and answers. While the disk makes one group durable and its files
// are put into the tree, the next is planned on top of it: at most one is ahead.
func (s *Store) commits() {
	defer s.joined.Done()
	defer close(s.quit)
	for {
		var placed chan struct{}
		if s.ahead != nil {
			placed = s.ahead.placed
		}
		select {
		case first, ok := <-s.requests:
			if !ok {
				s.land(nil)
				return
			}
			s.commit(s.gather(first))
		case <-placed:
			s.land(nil)
		}
	}
}

// gather takes what waits behind a first request. Where many post at a time it
// waits until half of them are there: commits of one comment cost as much as
// those of thirty, and while one of all is made nobody has anything to do.
func (s *Store) gather(first *request) *group {
	g := &group{requests: []*request{first}, start: time.Now()}
	count, bytes := first.extent()
	want := s.crowd / 2
	var late *time.Timer
	for open := true; open && count < maxBatchItems && bytes < maxBatchBytes; {
		var r *request
		select {
		case r, open = <-s.requests:
		default:
			if len(g.requests) >= want {
				open = false
				break
			}
			if late == nil {
				late = time.NewTimer(gatherTime)
				defer late.Stop()
			}
			select {
			case r, open = <-s.requests:
			case <-late.C:
				open = false
			}
		}
		if r != nil {
			g.requests = append(g.requests, r)
			n, b := r.extent()
			count, bytes = count+n, bytes+b
		}
	}
	s.crowd = max(s.atATime(g), s.crowd-(s.crowd+15)/16) // a sixteenth less each time
	g.crowd = s.crowd
	g.all = make([]work, 0, count)
	for _, r := range g.requests {
		for i := range r.items {
			g.all = append(g.all, work{&r.items[i], &r.results[i]})
		}
	}
	g.batch = g.all
	return g
}

// atATime is how many requests are under way: in a group that was gathered, in the
// one ahead of it, and waiting.
func (s *Store) atATime(g *group) int {
	n := len(g.requests) + len(s.requests)
	if s.ahead != nil {
		n += len(s.ahead.requests)
	}
	return n
}

// answer tells who waits for a group. Its results are set.
func (s *Store) answer(g *group, committed bool) {
	if committed {
		s.meter.committed(g.all, g.start)
	}
	for _, r := range g.requests {
		close(r.done)
	}
}

func (r *request) extent() (count, bytes int) {
	for i := range r.items {
		bytes += r.items[i].size()
	}
	return len(r.items), bytes
}

// commit has a group made durable and put into the tree: its journal first,
// then its files, then its answers. It returns when the group is on its way, or
// answered. Items whose files cannot be written get an error, and the others are
// committed without them.
func (s *Store) commit(g *group) {
	for {
		err := s.failed()
		if err == nil {
			err = s.awaitJournal()
		}
		var b *plan
		if err == nil {
			b, err = s.planGroup(g)
		}
		if err == nil && b != nil {
			s.await(b.held)
			if err = b.apply(); err != nil {
				err = fmt.Errorf("write the index: %w", err)
				s.disk.release(b.reserved)
				s.forgo(b.held)
				b.close()
			}
		}
		if err != nil {
			setErrorsOf(g.batch, err)
		}
		if err != nil || b == nil {
			s.answer(g, false)
			return
		}
		// While the disk makes it durable, its files are written. They are in the
		// tree only after that.
		s.prepare(b)
		if b.ahead != nil {
			s.meter.ahead.Add(1)
		}
		if !s.land(b) {
			s.meter.takenBack.Add(1)
			continue // what it was planned on top of is not there
		}
		g.plan, g.failed, g.placed = b, nil, make(chan struct{})
		s.ahead = g
		go s.fly(g)
		if b.special {
			s.land(nil)
		}
		return
	}
}

func setErrorsOf(batch []work, err error) {
	for _, w := range batch {
		*w.result = Result{Err: err}
	}
}

// planGroup plans a group: nil where there is nothing to commit. Only a plan that
// brings new comments, and has to do with nothing else that is here, is made on
// top of another: whatever comes of that one, they do not meet.
func (s *Store) planGroup(g *group) (*plan, error) {
	b, err := s.plan(g.batch)
	if err == nil && b.special && b.ahead != nil {
		b.abandon()
		s.land(nil)
		if err := s.failed(); err != nil {
			return nil, err
		}
		b, err = s.plan(g.batch)
	}
	if err != nil {
		return nil, fmt.Errorf("read the index: %w", err)
	}
	if b.empty() {
		b.close()
		return nil, nil
	}
	return b, nil
}

// fly puts a group's files into the tree once its journal is durable, publishes
// and answers.
func (s *Store) fly(g *group) {
	defer close(g.placed)
	if err := g.plan.batch.SyncWait(); err != nil {
		g.failed = make(map[int]error)
		for i := range g.batch {
			g.failed[i] = fmt.Errorf("write the index: %w", err)
		}
		return
	}
	if failed := s.writeTree(g.plan); len(failed) > 0 {
		g.failed = failed
		return
	}
	s.publish(g.plan, g.few())
	g.plan.close()
	s.answer(g, true)
	if s.at.ok() && g.few() {
		select {
		case s.placed <- g.plan.files:
		default: // the disk is busy enough
		}
	}
}

// few tells whether a group is one of few posts.
func (g *group) few() bool {
	return len(g.plan.files) <= maxFewFiles && g.crowd <= maxFewCrowd
}

// land waits for the group that is on its way, if there is one. If files of it
// could not be written, it is taken back, and top before it, which was planned on
// top of it; the rest of it is committed anew. ok tells that top still stands.
func (s *Store) land(top *plan) (ok bool) {
	g := s.ahead
	if g == nil {
		return true
	}
	<-g.placed
	s.ahead = nil
	if g.failed == nil {
		return true
	}
	err := s.takeBack(top)
	if err == nil {
		err = s.takeBack(g.plan)
	} else {
		s.discard(g.plan)
		g.plan.close()
	}
	if err != nil {
		s.fail(err) // and what was not undone stays pending: nobody sees it
		setErrorsOf(g.batch, s.failed())
		s.answer(g, false)
		return false
	}
	var rest []work
	for i, w := range g.batch {
		if err := g.failed[i]; err != nil {
			*w.result = Result{Err: err}
		} else {
			rest = append(rest, w)
		}
	}
	if g.batch = rest; len(rest) == 0 {
		s.answer(g, false)
		return false
	}
	s.commit(g)
	s.land(nil)
	return false
}

// takeBack undoes a commit that is not published; nil is none.
func (s *Store) takeBack(b *plan) error {
	if b == nil {
		return nil
	}
	defer b.close()
	b.batch.SyncWait() // an error of it is its group's, or what ends the store
	s.discard(b)
	s.disk.release(b.reserved)
	if err := s.undo(b); err != nil {
		return err
	}
	s.forgo(b.held)
	return nil
}

// await keeps comments that are in the index, but not published, from being seen.
func (s *Store) await(held map[key]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range held {
		s.pending[k] = struct{}{}
	}
}

func (s *Store) forgo(held map[key]struct{}) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for k := range held {
		delete(s.pending, k)
	}
}

// publish makes a commit visible: its files stand in the tree. few tells that it is
// one of few posts.
func (s *Store) publish(b *plan, few bool) {
	topics := make([]*topic, 0, len(b.topics))
	for h, planned := range b.topics {
		t := *planned // the next plan reads that
		t.mtime = 0
		if m, ok := b.mtimes[h]; ok {
			t.mtime = m
		} else if old := s.topics[h]; old != nil && t.exists {
			t.mtime = old.mtime
		}
		topics = append(topics, &t)
	}
	s.witness.put(s.epoch, b.seq)
	s.mu.Lock()
	s.seq = b.seq
	s.disk.count(s.putTopics(topics) - b.reserved)
	for k := range b.healed {
		delete(s.healing, k)
		s.damage.forget(k)
	}
	s.keepEvents(b.events)
	for k := range b.held {
		delete(s.pending, k)
	}
	for h := range b.touched {
		s.journal.dirty[h] = struct{}{}
	}
	s.journal.grow(b.journaled, b.journalBytes)
	s.journal.few = few
	s.journal.unlinks = append(s.journal.unlinks, b.unlinkLater...)
	if b.loosened {
		s.loosened = b.seq
	}
	if len(b.gone) > 0 && s.scrubDue.IsZero() {
		s.scrubDue = time.Now().Add(scrubAfter)
	}
	close(s.changed)
	s.changed = make(chan struct{})
	s.mu.Unlock()
	select {
	case s.kick <- struct{}{}:
	default:
	}
	for _, l := range b.logs {
		l()
	}
}

package comntr

import (
	"encoding/hex"
	"encoding/json"
	"iter"
	"slices"
	"time"
)

// Thread is what people see of a topic: its comments in reading order. It is
// what Fold makes, and a function of the set of documents alone.
type Thread struct {
	// Name is the topic's name in clear, where a document proves it.
	Name string
	// Locked are the filters that lock the whole topic.
	Locked []Hash
	// Total counts the comments that are neither deleted nor hidden.
	Total int
	// Comments are in reading order: each one's replies follow it, one deeper.
	// The list is flat because threads are deeper than decoders of JSON, and
	// stacks, like.
	Comments []Comment
}

// Comment is one comment of a Thread.
type Comment struct {
	// ID is the comment's name; of several files that hold one act the
	// smallest. Aliases are the others, smallest first.
	ID      Hash
	Aliases []Hash
	// Document is the comment as it was first written; nil when it is deleted,
	// because then its bytes may be there or not.
	Document *Document
	// Edit is the edit whose body is shown, or nil.
	Edit *Document
	// Deleted: the author took it back, and it is shown because there are
	// replies. Only what the delete itself says is known then: Date and Parent.
	Deleted bool
	// Date is when the author says it was written, where it is Dated: the zero
	// time is a date that a document can have.
	Date  time.Time
	Dated bool
	// Up and Down count the votes.
	Up, Down int
	// Parent is what it replies to; zero for nothing. Where Missing is set
	// nothing is known of the parent, and the comment stands at top level.
	Parent  Hash
	Missing bool
	// Depth is 0 at top level. Replies counts the comments at any depth below
	// that are neither deleted nor hidden.
	Depth   int
	Replies int
	// Hidden, Pinned and Locked are the filters that say so, in the order in
	// which they were given to Fold. Locked holds for all that is below, too.
	Hidden, Pinned, Locked []Hash
}

// Body is the text to show: the edit's, else the comment's; none if deleted.
func (c *Comment) Body() []byte {
	switch {
	case c.Edit != nil:
		return c.Edit.Body()
	case c.Document != nil:
		return c.Document.Body()
	}
	return nil
}

// User is the name that the author gave, or "".
func (c *Comment) User() string {
	if c.Document == nil {
		return ""
	}
	user, _ := c.Document.User()
	return user
}

// Key is the author's key; ok is false for plain text and for deleted comments.
func (c *Comment) Key() (key [32]byte, ok bool) {
	if c.Document == nil || !c.Document.Signed() {
		return key, false
	}
	return c.Document.Key(), true
}

type threadJSON struct {
	Name     string    `json:"name,omitempty"`
	Locked   []Hash    `json:"locked,omitempty"`
	Total    int       `json:"total"`
	Comments []Comment `json:"comments"`
}

type commentJSON struct {
	ID      Hash      `json:"id"`
	Aliases []Hash    `json:"aliases,omitempty"`
	Key     string    `json:"key,omitempty"`
	User    string    `json:"user,omitempty"`
	Date    string    `json:"date,omitempty"`
	Body    string    `json:"body"`
	Edited  *editJSON `json:"edited,omitempty"`
	Deleted bool      `json:"deleted,omitempty"`
	Score   scoreJSON `json:"score"`
	Parent  *Hash     `json:"parent,omitempty"`
	Missing bool      `json:"missing,omitempty"`
	Depth   int       `json:"depth"`
	Replies int       `json:"replies"`
	Hidden  []Hash    `json:"hidden,omitempty"`
	Pinned  []Hash    `json:"pinned,omitempty"`
	Locked  []Hash    `json:"locked,omitempty"`
}

type editJSON struct {
	ID   Hash   `json:"id"`
	Date string `json:"date,omitempty"`
}

type scoreJSON struct {
	Up   int `json:"up"`
	Down int `json:"down"`
}

// MarshalJSON writes the form of SPEC.md, "Threads", and of folds.json.
func (t Thread) MarshalJSON() ([]byte, error) {
	v := threadJSON(t)
	if v.Comments == nil {
		v.Comments = []Comment{}
	}
	return json.Marshal(v)
}

// MarshalJSON writes the form of SPEC.md, "Threads", and of folds.json.
func (c Comment) MarshalJSON() ([]byte, error) {
	v := commentJSON{
		ID: c.ID, Aliases: c.Aliases, User: c.User(), Date: formatDate(c.Date, c.Dated), Body: string(c.Body()), Deleted: c.Deleted,
		Score: scoreJSON{c.Up, c.Down}, Missing: c.Missing, Depth: c.Depth, Replies: c.Replies,
		Hidden: c.Hidden, Pinned: c.Pinned, Locked: c.Locked,
	}
	if key, ok := c.Key(); ok {
		v.Key = hex.EncodeToString(key[:])
	}
	if c.Parent != (Hash{}) {
		v.Parent = &c.Parent
	}
	if c.Edit != nil {
		v.Edited = &editJSON{c.Edit.ID(), formatDate(c.Edit.Date())}
	}
	return json.Marshal(v)
}

func formatDate(t time.Time, dated bool) string {
	if !dated {
		return ""
	}
	return t.UTC().Format(DateFormat)
}

// Fold makes the thread of one topic, as SPEC.md, "Threads", fixes it. It is
// pure: the order of docs never matters, nor does one that is there twice, nor
// whether the bytes of what docs delete are among them. All of docs must be of
// one Place. Documents that are premature at now are left out.
func Fold(docs []*Document, filters []Filter, now time.Time, order Order) *Thread {
	return fold(docs, filters, now, order, VoteWork)
}

// fold is Fold with votes of any work, so that tests need not pay for it.
func fold(docs []*Document, filters []Filter, now time.Time, order Order, voteWork int) *Thread {
	f := folding{remains: living(docs, now), filters: filters}
	f.collect()
	f.edit()
	f.vote(voteWork)
	f.link()
	f.cutCycles()
	f.dropLeaves()
	thread := &Thread{Name: f.name()}
	if len(docs) > 0 {
		topic := []Hash{docs[0].Place().Topic}
		thread.Locked = f.saying(func(l *Filter) bool { return l.verdict(actLock, topic) == saysYes })
	}
	f.moderate()
	f.arrange(thread, order)
	return thread
}

// A node is a comment on its way into the thread.
type node struct {
	doc    *Document // the comment's file of the smallest name; nil if deleted
	delete *Document // what is known of a deleted comment
	ids    []Hash    // smallest first
	edit   *Document
	up     int
	down   int

	when
	says    Hash // its Parent, if isReply
	isReply bool
	parent  int32 // a node, or none
	missing bool
	dropped bool

	hidden, pinned, locked []Hash
	replies                int
	depth                  int32
}

const none = int32(-1)

// source is the document that says the node's Parent and Date.
func (n *node) source() *Document {
	if n.doc != nil {
		return n.doc
	}
	return n.delete
}

type folding struct {
	remains
	filters []Filter
	nodes   []node
}

// spoken is what a fold reads of one document, copied so that the fold goes
// through memory in order and not from document to document.
type spoken struct {
	doc    *Document
	id     Hash
	kind   Kind
	to     Hash // a comment's Parent, any other's Target
	hasTo  bool
	signed bool
	gone   bool // deleted
	key    [32]byte
	act    [32]byte
	node   int32 // of a comment; else none
}

// A grave is what is known of a deleted document without its bytes.
type grave struct {
	// delete speaks for it: the newest that has it for a target. Keys are not
	// compared, because without the bytes nobody knows whose it was.
	delete *Document
	node   int32 // of the deleted comment, if it is replied to; else none
}

// remains are documents in which what does not count is marked as gone or left
// out.
type remains struct {
	docs   []spoken
	at     map[Hash]int32 // in docs
	graves map[Hash]grave
}

// living finds what of docs counts: it leaves out what stands twice and what is
// premature, and then what is deleted, so that nothing after it can depend on
// whether a deleted document's bytes are still there
// (TestFoldForgetsDeletedBytes). What is deleted is what Document.Removes says,
// without asking it of every two (TestRemovesIsTheFoldsRule).
func living(docs []*Document, now time.Time) remains {
	type removal struct {
		target Hash
		key    [32]byte
	}
	r := remains{make([]spoken, 0, len(docs)), make(map[Hash]int32, len(docs)), map[Hash]grave{}}
	removed := map[removal]struct{}{}
	for _, d := range docs {
		if _, twice := r.at[d.id]; twice || d.Premature(now) {
			continue
		}
		r.at[d.id] = int32(len(r.docs))
		s := spoken{doc: d, id: d.id, kind: d.kind, to: d.target, hasTo: d.hasTarget, signed: d.signed, key: d.key, act: d.act, node: none}
		if s.kind == KindComment {
			s.to, s.hasTo = d.parent, d.hasParent
		}
		r.docs = append(r.docs, s)
		if s.kind == KindDelete && s.hasTo {
			removed[removal{s.to, s.key}] = struct{}{}
			if was := r.graves[s.to].delete; was == nil || newer(d, was) {
				r.graves[s.to] = grave{d, none}
			}
		}
	}
	for by := range removed {
		if t := r.find(by.target); t != nil && t.signed && t.kind != KindDelete && t.key == by.key {
			t.gone = true
		}
	}
	for t := range r.of(KindEdit) {
		_, gone := removed[removal{t.to, t.key}]
		t.gone = gone && t.hasTo
	}
	return r
}

// all are the living documents.
func (r *remains) all(yield func(*spoken) bool) {
	for i := range r.docs {
		if d := &r.docs[i]; !d.gone && !yield(d) {
			return
		}
	}
}

// of are the living documents of a kind.
func (r *remains) of(kind Kind) iter.Seq[*spoken] {
	return func(yield func(*spoken) bool) {
		for i := range r.docs {
			if d := &r.docs[i]; !d.gone && d.kind == kind && !yield(d) {
				return
			}
		}
	}
}

// find is the living document of that id, or nil.
func (r *remains) find(id Hash) *spoken {
	if i, there := r.at[id]; there && !r.docs[i].gone {
		return &r.docs[i]
	}
	return nil
}

// collect makes a node of each comment, all files of one act being one.
func (f *folding) collect() {
	comments := 0
	for range f.of(KindComment) {
		comments++
	}
	f.nodes = make([]node, 0, comments+len(f.graves)) // link adds deleted ones
	acts := make(map[[32]byte]int32, comments)
	ids := make([]Hash, 0, comments) // one allocation for all the nodes' ids
	for d := range f.of(KindComment) {
		d.node = int32(len(f.nodes))
		if d.signed {
			if i, ok := acts[d.act]; ok {
				d.node = i
				n := &f.nodes[i]
				n.ids = append(n.ids, d.id)
				if d.id.Compare(n.doc.id) < 0 {
					n.doc = d.doc
				}
				continue
			}
			acts[d.act] = d.node
		}
		ids = append(ids, d.id)
		n := node{doc: d.doc, ids: ids[len(ids)-1 : len(ids) : len(ids)], says: d.to, isReply: d.hasTo, parent: none}
		f.nodes = append(f.nodes, n)
	}
	for i := range f.nodes {
		n := &f.nodes[i]
		slices.SortFunc(n.ids, Hash.Compare)
		n.setWhen()
	}
}

// setWhen must come after the ids are sorted.
func (n *node) setWhen() {
	n.id = n.ids[0]
	d := n.source()
	n.date, n.dated = d.date, d.dated
}

// comment is the living comment of that id or alias, or none.
func (f *folding) comment(id Hash) int32 {
	if d := f.find(id); d != nil {
		return d.node
	}
	return none
}

func (f *folding) edit() {
	for d := range f.of(KindEdit) {
		if !d.hasTo {
			continue
		}
		at := f.comment(d.to)
		if at == none {
			continue
		}
		n := &f.nodes[at]
		if !n.doc.signed || n.doc.key != d.key {
			continue
		}
		if n.edit == nil || newer(d.doc, n.edit) {
			n.edit = d.doc
		}
	}
}

func (f *folding) vote(work int) {
	type ballot struct {
		comment int32
		key     [32]byte
	}
	counted := map[ballot]*Document{}
	for d := range f.of(KindVote) {
		if !d.hasTo || Work(d.act) < work {
			continue
		}
		if _, ok := d.doc.Vote(); !ok {
			continue
		}
		at := f.comment(d.to)
		if at == none {
			continue
		}
		if n := &f.nodes[at]; n.doc.signed && n.doc.key == d.key {
			continue
		}
		b := ballot{at, d.key}
		if was := counted[b]; was == nil || newer(d.doc, was) {
			counted[b] = d.doc
		}
	}
	banned := map[[32]byte]bool{}
	for b, d := range counted {
		out, asked := banned[b.key]
		if !asked {
			out = slices.ContainsFunc(f.filters, func(l Filter) bool { return l.bans(b.key) })
			banned[b.key] = out
		}
		switch v, _ := d.Vote(); {
		case out:
		case v == VoteUp:
			f.nodes[b.comment].up++
		case v == VoteDown:
			f.nodes[b.comment].down++
		}
	}
}

// link finds the parents.
func (f *folding) link() {
	for i := 0; i < len(f.nodes); i++ { // which deleted comments are added to
		if !f.nodes[i].isReply {
			continue
		}
		parent := f.parent(f.nodes[i].says)
		f.nodes[i].parent = parent
		f.nodes[i].missing = parent == none
	}
}

// parent is the comment of that id, living or deleted, or none. A deleted one
// gets its node when somebody replies to it.
func (f *folding) parent(id Hash) int32 {
	if d := f.find(id); d != nil {
		return d.node
	}
	g, ok := f.graves[id]
	if !ok {
		return none
	}
	if g.node == none {
		g.node = int32(len(f.nodes))
		f.graves[id] = g
		n := node{delete: g.delete, ids: []Hash{id}, parent: none}
		n.says, n.isReply = g.delete.Parent()
		n.setWhen()
		f.nodes = append(f.nodes, n)
	}
	return g.node
}

// cutCycles takes the parent from one comment of every cycle. Comments alone
// cannot make one: each would hold the SHA-1 of bytes that hold its own. But a
// delete names its target's parent freely, so deleted comments can
// (TestCycleOfParents). The one cut is the deleted one of the smallest id, so
// that no living comment moves; were there none, the smallest of all.
func (f *folding) cutCycles() {
	const (
		unseen = iota
		onPath
		done
	)
	state := make([]uint8, len(f.nodes))
	var path []int32
	for start := range f.nodes {
		path = path[:0]
		i := int32(start)
		for i != none && state[i] == unseen {
			state[i] = onPath
			path = append(path, i)
			i = f.nodes[i].parent
		}
		if i != none && state[i] == onPath {
			cycle := path[slices.Index(path, i):]
			cut := slices.MinFunc(cycle, func(a, b int32) int {
				x, y := &f.nodes[a], &f.nodes[b]
				if (x.doc == nil) != (y.doc == nil) {
					if x.doc == nil {
						return -1
					}
					return 1
				}
				return x.id.Compare(y.id)
			})
			f.nodes[cut].parent = none
		}
		for _, p := range path {
			state[p] = done
		}
	}
}

// dropLeaves drops deleted comments without a living one below. Few have
// none, since link makes them for a reply: the rest of a cycle that was cut.
func (f *folding) dropLeaves() {
	children := make([]int32, len(f.nodes))
	for i := range f.nodes {
		if p := f.nodes[i].parent; p != none {
			children[p]++
		}
	}
	for i := range f.nodes {
		for at := int32(i); at != none; {
			n := &f.nodes[at]
			if n.doc != nil || n.dropped || children[at] > 0 {
				break
			}
			n.dropped = true
			if at = n.parent; at != none {
				children[at]--
			}
		}
	}
}

// saying are the filters that say so, in their order.
func (f *folding) saying(so func(*Filter) bool) []Hash {
	var by []Hash
	for i := range f.filters {
		if so(&f.filters[i]) {
			by = append(by, f.filters[i].List.Topic)
		}
	}
	return by
}

func (f *folding) moderate() {
	if len(f.filters) == 0 {
		return
	}
	for i := range f.nodes {
		n := &f.nodes[i]
		var key *[32]byte
		if n.doc != nil && n.doc.Signed() {
			k := n.doc.Key()
			key = &k
		}
		n.hidden = f.saying(func(l *Filter) bool { return l.hides(n.ids, key) })
		n.pinned = f.saying(func(l *Filter) bool { return l.verdict(actPin, n.ids) == saysYes })
		n.locked = f.saying(func(l *Filter) bool { return l.verdict(actLock, n.ids) == saysYes })
	}
}

// arrange sorts the nodes into the thread. Nothing in it recurses, because a
// stranger chooses how deep a thread is.
func (f *folding) arrange(thread *Thread, order Order) {
	type key struct {
		when
		node int32
	}
	sorted := make([]key, 0, len(f.nodes))
	for i := range f.nodes {
		if n := &f.nodes[i]; !n.dropped {
			sorted = append(sorted, key{n.when, int32(i)})
		}
	}
	slices.SortFunc(sorted, func(a, b key) int { return a.compareOldest(&b.when) })

	// Lists of children, by first child and next sibling, each oldest first.
	first := make([]int32, len(f.nodes))
	next := make([]int32, len(f.nodes))
	for i := range first {
		first[i], next[i] = none, none
	}
	var top []int32
	for _, k := range slices.Backward(sorted) {
		i := k.node
		if p := f.nodes[i].parent; p == none {
			top = append(top, i)
		} else {
			next[i], first[p] = first[p], i
		}
	}

	// walk visits what stands under the given ones, parents first.
	walk := func(roots []int32, visit func(int32)) {
		var stack []int32
		for _, root := range roots {
			for stack = append(stack, root); len(stack) > 0; {
				i := stack[len(stack)-1]
				stack = stack[:len(stack)-1]
				visit(i)
				if next[i] != none {
					stack = append(stack, next[i])
				}
				if first[i] != none {
					stack = append(stack, first[i])
				}
			}
		}
	}
	reading := make([]int32, 0, len(sorted))
	walk(top, func(i int32) { reading = append(reading, i) })
	for _, i := range reading {
		n := &f.nodes[i]
		if n.parent != none {
			parent := &f.nodes[n.parent]
			n.depth = parent.depth + 1
			n.locked = f.union(parent.locked, n.locked)
		}
	}
	for _, i := range slices.Backward(reading) {
		n := &f.nodes[i]
		shown := 0
		if n.doc != nil && len(n.hidden) == 0 {
			shown = 1
		}
		thread.Total += shown
		if n.parent != none {
			f.nodes[n.parent].replies += n.replies + shown
		}
	}

	slices.SortFunc(top, func(a, b int32) int { return order.compare(&f.nodes[a], &f.nodes[b]) })
	thread.Comments = make([]Comment, 0, len(sorted))
	walk(top, func(i int32) {
		n := &f.nodes[i]
		c := Comment{
			ID: n.id, Document: n.doc, Edit: n.edit, Deleted: n.doc == nil, Up: n.up, Down: n.down,
			Missing: n.missing, Depth: int(n.depth), Replies: n.replies, Hidden: n.hidden, Pinned: n.pinned, Locked: n.locked,
		}
		if len(n.ids) > 1 {
			c.Aliases = n.ids[1:]
		}
		if n.dated {
			c.Date, c.Dated = time.Unix(n.date, 0).UTC(), true
		}
		if n.parent != none {
			c.Parent = f.nodes[n.parent].id
		} else if n.missing {
			c.Parent = n.says
		}
		thread.Comments = append(thread.Comments, c)
	})
}

// union is in the order of the filters; it shares a where it can, since a
// lock reaches every comment below.
func (f *folding) union(a, b []Hash) []Hash {
	switch {
	case len(b) == 0:
		return a
	case len(a) == 0:
		return b
	}
	return f.saying(func(l *Filter) bool {
		return slices.Contains(a, l.List.Topic) || slices.Contains(b, l.List.Topic)
	})
}

// name is the topic's name, if a document proves it; of several (a collision)
// the smallest.
func (f *folding) name() string {
	var name string
	for d := range f.all {
		if v, ok := d.doc.Name(); ok && (name == "" || v < name) {
			name = v
		}
	}
	return name
}

// newer is how all acts on one target are ordered: by Date, those without one
// being the oldest, and then by SHA-1.
func newer(a, b *Document) bool {
	switch {
	case a.dated != b.dated:
		return a.dated
	case a.dated && a.date != b.date:
		return a.date > b.date
	}
	return a.id.Compare(b.id) > 0
}

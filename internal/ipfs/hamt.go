package ipfs

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

// How a folder changes: only the nodes between the root and the changed names
// are read, made anew and hashed, so a change costs its depth, not the folder.
//
// The shape is canonical. A shard has a child shard at an index if and only if
// two names or more of the folder begin with that path; one name alone stands
// in the shard above. Adding and removing both restore this, which is why the
// id does not remember how the folder grew (TestFoldersLikeBoxo).

// errDamaged: the database contradicts itself. It is wiped and built again.
var errDamaged = errors.New("the block database is damaged")

// errSlot: the source listed two names that no HAMT can hold both (SPEC.md,
// "Folders"). Building stops, because any choice made here might differ from
// the next server's.
var errSlot = errors.New("two names of one folder share all 64 bits of their slot")

// tree is a whole folder.
type tree struct {
	root  cid.Cid // undefined: nothing built yet
	size  uint64  // bytes of all its blocks: Tsize of a link to it
	count int     // names
}

// change gives a name a link, or takes the name away.
type change struct {
	name comntr.Hash
	slot uint64
	cid  cid.Cid // undefined: the name is removed
	size uint64
}

func (c *change) removes() bool { return !c.cid.Defined() }

func (c *change) link() comntr.Link {
	return comntr.Link{Name: c.name, CID: c.cid, Size: c.size}
}

// sized is a node and the length of its block.
type sized struct {
	*comntr.Node
	block int
}

// edit is a piece of work on trees: what it has read and what it has made.
// Nodes in it are shared and never changed.
type edit struct {
	v     comntr.Version
	load  func(cid.Cid) (sized, error)
	nodes map[cid.Cid]sized
	made  map[digest]sized
}

func newEdit(v comntr.Version, load func(cid.Cid) (sized, error)) *edit {
	return &edit{v: v, load: load, nodes: map[cid.Cid]sized{}, made: map[digest]sized{}}
}

func (e *edit) node(c cid.Cid) (sized, error) {
	n, err := e.look(c)
	if err == nil {
		e.nodes[c] = n
	}
	return n, err
}

// look is node for those that are looked at once: of a community that is built
// anew they are all there are.
func (e *edit) look(c cid.Cid) (sized, error) {
	if n, ok := e.nodes[c]; ok {
		return n, nil
	}
	n, err := e.load(c)
	if errors.Is(err, ErrNotHeld) {
		// A node under one of our own roots: it must be here.
		err = fmt.Errorf("%w: %w", errDamaged, err)
	}
	if err != nil {
		return sized{}, err
	}
	return n, nil
}

func (e *edit) put(n *comntr.Node) (cid.Cid, uint64) {
	block := n.Encode()
	c := e.v.FolderCID(block)
	if _, ok := e.nodes[c]; !ok {
		e.nodes[c] = sized{n, len(block)}
	}
	e.made[digestOf(c)] = e.nodes[c]
	return c, n.Size(len(block))
}

// apply returns the folder with the changes made, of two for one name the later
// last. It sorts changes.
func (e *edit) apply(t tree, changes []change) (tree, error) {
	old := sized{Node: &comntr.Node{}}
	if t.root.Defined() {
		if len(changes) == 0 {
			return t, nil
		}
		var err error
		if old, err = e.node(t.root); err != nil {
			return t, err
		}
	}
	base := old.Links
	if !old.Shard {
		links, changed := mergePlain(old.Links, changes)
		switch {
		case !changed && t.root.Defined():
			return t, nil
		case !e.v.Sharded(len(links)):
			return e.finish(&comntr.Node{Links: links}, len(links)), nil
		}
		changes = make([]change, len(links))
		for i, l := range links {
			changes[i] = change{name: l.Name, slot: l.Name.Slot(), cid: l.CID, size: l.Size}
		}
		t.count, base = 0, nil
	}
	slices.SortStableFunc(changes, func(a, b change) int { return cmp.Compare(a.slot, b.slot) })
	links, delta, changed, err := e.shard(base, 0, changes)
	if err != nil || !changed {
		return t, err
	}
	count := t.count + delta
	if e.v.Sharded(count) {
		return e.finish(&comntr.Node{Shard: true, Links: links}, count), nil
	}
	plain := make([]comntr.Link, 0, max(count, 0))
	if err := e.values(links, 0, func(l comntr.Link) error {
		l.Index = 0
		plain = append(plain, l)
		return nil
	}); err != nil {
		return t, err
	}
	slices.SortFunc(plain, func(a, b comntr.Link) int { return a.Name.Compare(b.Name) })
	if len(plain) != count {
		return t, fmt.Errorf("%w: a folder of %d names has a record of %d", errDamaged, len(plain), count)
	}
	return e.finish(&comntr.Node{Links: plain}, count), nil
}

func (e *edit) finish(n *comntr.Node, count int) tree {
	c, size := e.put(n)
	return tree{root: c, size: size, count: count}
}

// mergePlain merges changes into a plain directory's links.
func mergePlain(links []comntr.Link, changes []change) (out []comntr.Link, changed bool) {
	slices.SortStableFunc(changes, func(a, b change) int { return a.name.Compare(b.name) })
	out = make([]comntr.Link, 0, len(links)+len(changes))
	for i := range changes {
		c := &changes[i]
		for len(links) > 0 && links[0].Name.Compare(c.name) < 0 {
			out = append(out, links[0])
			links = links[1:]
		}
		if len(links) > 0 && links[0].Name == c.name {
			// The old link stands only if this is the same again.
			if !c.removes() && links[0] == c.link() {
				continue
			}
			links, changed = links[1:], true
		}
		if n := len(out); n > 0 && out[n-1].Name == c.name {
			out, changed = out[:n-1], true
		}
		if !c.removes() {
			out, changed = append(out, c.link()), true
		}
	}
	return append(out, links...), changed
}

// shard merges changes, sorted by slot, into a shard's links. delta is by how
// much the number of names under it grew.
func (e *edit) shard(links []comntr.Link, depth int, changes []change) (out []comntr.Link, delta int, changed bool, err error) {
	if depth >= comntr.MaxDepth {
		return e.bottom(links, changes)
	}
	shift := 56 - 8*depth
	out = make([]comntr.Link, 0, min(len(links)+len(changes), 256))
	for len(changes) > 0 {
		index := uint8(changes[0].slot >> shift)
		n := 1
		for n < len(changes) && uint8(changes[n].slot>>shift) == index {
			n++
		}
		group := changes[:n]
		changes = changes[n:]
		for len(links) > 0 && links[0].Index < index {
			out = append(out, links[0])
			links = links[1:]
		}
		var old []comntr.Link
		if len(links) > 0 && links[0].Index == index {
			old, links = links[:1], links[1:]
		}
		below := old
		if len(old) == 1 && old[0].Child {
			child, err := e.node(old[0].CID)
			if err != nil {
				return nil, 0, false, err
			}
			if !child.Shard {
				return nil, 0, false, fmt.Errorf("%w: %s is no shard", errDamaged, old[0].CID)
			}
			below = child.Links
		} else if len(old) == 1 {
			// As if it stood one level lower: whether that level exists is
			// decided below, by how many names are left there.
			l := old[0]
			l.Index = indexAt(l.Name, depth+1)
			below = []comntr.Link{l}
		}
		below, d, ch, err := e.below(below, depth+1, group)
		if err != nil {
			return nil, 0, false, err
		}
		if !ch {
			out = append(out, old...)
			continue
		}
		delta, changed = delta+d, true
		switch {
		case len(below) == 0:
		case len(below) == 1 && !below[0].Child:
			l := below[0]
			l.Index = index
			out = append(out, l)
		default:
			c, size := e.put(&comntr.Node{Shard: true, Links: below})
			out = append(out, comntr.Link{Index: index, Child: true, CID: c, Size: size})
		}
	}
	return append(out, links...), delta, changed, nil
}

// below is shard, short for the common case of one change that meets nothing
// or its own name: it spares walking to the bottom.
func (e *edit) below(links []comntr.Link, depth int, changes []change) ([]comntr.Link, int, bool, error) {
	if len(changes) == 1 && (len(links) == 0 || len(links) == 1 && !links[0].Child && links[0].Name == changes[0].name) {
		return e.bottom(links, changes)
	}
	return e.shard(links, depth, changes)
}

// bottom merges changes that all stand in one place of a shard. At most one name
// is left, in whatever order one left and another took its slot.
func (e *edit) bottom(links []comntr.Link, changes []change) (out []comntr.Link, delta int, changed bool, err error) {
	out = slices.Clone(links)
	for i := range changes {
		c := &changes[i]
		at := slices.IndexFunc(out, func(l comntr.Link) bool { return l.Name == c.name })
		switch {
		case c.removes() && at < 0:
			continue
		case c.removes():
			out, delta = slices.Delete(out, at, at+1), delta-1
		case at < 0:
			out, delta = append(out, c.link()), delta+1
		case out[at].CID == c.cid && out[at].Size == c.size:
			continue
		default:
			out[at] = c.link()
		}
		changed = true
	}
	if len(out) > 1 {
		return nil, 0, false, fmt.Errorf("%w: %s and %s", errSlot, out[0].Name, out[1].Name)
	}
	return out, delta, changed, nil
}

// values calls fn for every name under the links.
func (e *edit) values(links []comntr.Link, depth int, fn func(comntr.Link) error) error {
	for _, l := range links {
		if !l.Child {
			if err := fn(l); err != nil {
				return err
			}
			continue
		}
		n, err := e.node(l.CID)
		if err != nil {
			return err
		}
		if depth+1 >= comntr.MaxDepth || !n.Shard {
			return fmt.Errorf("%w: a HAMT is misshapen at %s", errDamaged, l.CID)
		}
		if err := e.values(n.Links, depth+1, fn); err != nil {
			return err
		}
	}
	return nil
}

// has reports whether the folder has the name.
func (e *edit) has(t tree, name comntr.Hash) (bool, error) {
	if !t.root.Defined() {
		return false, nil
	}
	n, err := e.node(t.root)
	if err != nil {
		return false, err
	}
	for depth := range comntr.MaxDepth {
		l, ok := n.Lookup(name, depth)
		if !ok || !l.Child {
			return ok, nil
		}
		if n, err = e.node(l.CID); err != nil {
			return false, err
		}
	}
	return false, fmt.Errorf("%w: a HAMT is too deep", errDamaged)
}

// indexAt is where a name stands in a shard of that depth. Below the deepest
// there is one place only.
func indexAt(name comntr.Hash, depth int) uint8 {
	if depth >= comntr.MaxDepth {
		return 0
	}
	return uint8(name.Slot() >> (56 - 8*depth))
}

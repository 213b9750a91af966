package discover

import (
	"bytes"
	"context"
	"math/rand/v2"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/anacrolix/dht/v2"
	"github.com/anacrolix/dht/v2/krpc"
)

// Bounds of one walk towards an infohash or a node id.
const (
	walkWidth     = 8                       // queries under way
	walkClosest   = 8                       // k of BEP 5: nodes that announces go to
	maxWalk       = 256                     // queries in all
	maxCandidates = 512                     // nodes heard of and not yet asked
	maxReplyNodes = 32                      // nodes taken of one node; honest ones name 8 at a time
	maxNodesOfIP  = 3                       // nodes asked at one public address
	queryTimeout  = 1500 * time.Millisecond // one try: UDP is answered within a second or not at all
)

// contact is a node of the DHT. A bootstrap address has no id until it answers.
type contact struct {
	addr  netip.AddrPort
	id    krpc.ID
	known bool   // id is its id
	token string // from its get_peers reply, for announce_peer
}

// distance is the XOR metric of Kademlia.
func distance(a, b krpc.ID) (d krpc.ID) {
	for i := range d {
		d[i] = a[i] ^ b[i]
	}
	return d
}

// walk is the state of one iterative search. anacrolix's own traversal can end
// before it began (its "stalled" is signalled while the first nodes are being
// added) and cannot be bounded, so this is BEP 5's in a page.
type walk struct {
	target   krpc.ID
	self     krpc.ID
	allow    func(netip.AddrPort) bool
	heard    map[netip.AddrPort]bool
	ofIP     map[netip.Addr]int
	waiting  []contact // nearest first; without id before all
	closest  []contact // answered, nearest first, at most walkClosest
	asked    int
	answered int
}

func (w *walk) compare(a, b contact) int {
	if a.known != b.known {
		if a.known {
			return 1
		}
		return -1
	}
	da, db := distance(a.id, w.target), distance(b.id, w.target)
	return bytes.Compare(da[:], db[:])
}

// hear adds a node to those that may be asked.
func (w *walk) hear(c contact) {
	if c.known && c.id == w.self || w.heard[c.addr] || !w.allow(c.addr) {
		return
	}
	i, _ := slices.BinarySearchFunc(w.waiting, c, w.compare)
	if i >= maxCandidates {
		return
	}
	w.heard[c.addr] = true
	w.waiting = slices.Insert(w.waiting, i, c)
	if len(w.waiting) > maxCandidates {
		delete(w.heard, w.waiting[maxCandidates].addr)
		w.waiting = w.waiting[:maxCandidates]
	}
}

// next takes the node to ask, or says that no better one is known.
func (w *walk) next() (contact, bool) {
	for len(w.waiting) > 0 && w.asked < maxWalk {
		c := w.waiting[0]
		if c.known && len(w.closest) == walkClosest && w.compare(c, w.closest[walkClosest-1]) > 0 {
			return contact{}, false
		}
		w.waiting = w.waiting[1:]
		a := c.addr.Addr()
		if public(a) && w.ofIP[a] >= maxNodesOfIP {
			continue
		}
		w.ofIP[a]++
		w.asked++
		return c, true
	}
	return contact{}, false
}

// reply is what a node answered.
type reply struct {
	from  contact // without id: nothing
	nodes []krpc.NodeInfo
}

// took counts an answer.
func (w *walk) took(r reply) {
	if !r.from.known {
		return
	}
	w.answered++
	if i, found := slices.BinarySearchFunc(w.closest, r.from, w.compare); !found {
		w.closest = slices.Insert(w.closest, i, r.from)
		w.closest = w.closest[:min(len(w.closest), walkClosest)]
	}
	for _, ni := range r.nodes[:min(len(r.nodes), maxReplyNodes)] {
		if a, ok := netip.AddrFromSlice(ni.Addr.IP); ok && ni.Addr.Port > 0 {
			w.hear(contact{addr: netip.AddrPortFrom(a.Unmap(), uint16(ni.Addr.Port)), id: ni.ID, known: true})
		}
	}
}

// walk asks its way to the nodes nearest to target, by get_peers or find_node,
// from where starts says. Each get_peers answer's values go to values, which is
// called from several goroutines. It ends when no nearer node is known, at a
// bound, or with ctx.
func (n *node) walk(ctx context.Context, method string, target krpc.ID, values func([]netip.AddrPort)) *walk {
	w := &walk{target: target, self: n.id(), allow: n.mayAsk, heard: map[netip.AddrPort]bool{}, ofIP: map[netip.Addr]int{}}
	for _, c := range n.starts(ctx) {
		w.hear(c)
	}
	replies := make(chan reply)
	underway := 0
	for {
		for underway < walkWidth && ctx.Err() == nil {
			c, ok := w.next()
			if !ok {
				break
			}
			underway++
			go func() { replies <- n.ask(ctx, method, target, c, values) }()
		}
		if underway == 0 {
			if ctx.Err() == nil {
				n.reached(w.answered > 0)
			}
			return w
		}
		r := <-replies
		underway--
		w.took(r)
	}
}

// ask sends one query. Where few nodes come back it asks for more: many
// implementations leave nodes out where they have values, and then only
// find_node gives the way on; and anacrolix's nodes look for the nearest in a
// part of their table only, which in a small net may be the empty one, but
// never is when asked for their own id (TestThreeFreshNodesFindEachOther). In
// the public DHT every node knows eight, and nothing more is sent.
func (n *node) ask(ctx context.Context, method string, target krpc.ID, c contact, values func([]netip.AddrPort)) reply {
	ret := n.query(ctx, &c, method, target)
	if ret == nil {
		return reply{}
	}
	r := reply{from: c, nodes: slices.Concat([]krpc.NodeInfo(ret.Nodes), ret.Nodes6)}
	if method == "get_peers" {
		if ret.Token != nil && len(*ret.Token) <= maxToken {
			r.from.token = *ret.Token
		}
		if values != nil && len(ret.Values) > 0 {
			values(n.pick(ret.Values))
		}
	}
	more := func(target krpc.ID) {
		if ret := n.query(ctx, &c, "find_node", target); ret != nil {
			r.nodes = slices.Concat(r.nodes, []krpc.NodeInfo(ret.Nodes), ret.Nodes6)
		}
	}
	if len(r.nodes) == 0 && method == "get_peers" {
		more(target)
	}
	if len(r.nodes) < fewNodes {
		more(c.id)
	}
	return r
}

// maxToken is bytes: others' tokens are 4 to 20.
const maxToken = 128

// query sends one query to c and returns the reply's body, or nil. It sets c's
// id to what c says it is.
func (n *node) query(ctx context.Context, c *contact, method string, target krpc.ID) *krpc.Return {
	args := krpc.MsgArgs{Want: n.want()}
	if method == "get_peers" {
		args.InfoHash = target
	} else {
		args.Target = target
	}
	m := n.send(ctx, c.addr, method, args)
	if m == nil || m.R == nil || m.R.ID.IsZero() || m.R.ID == n.id() {
		return nil
	}
	if n.isSecure() && !dht.NodeIdSecure(m.R.ID, c.addr.Addr().AsSlice()) {
		return nil
	}
	c.id, c.known = m.R.ID, true
	if says, ok := netip.AddrFromSlice(m.IP.IP); ok {
		n.toldAddress(c.addr.Addr(), says.Unmap())
	}
	return m.R
}

// send sends one query, once, and returns what came back within queryTimeout.
func (n *node) send(ctx context.Context, to netip.AddrPort, method string, args krpc.MsgArgs) *krpc.Msg {
	ctx, cancel := context.WithTimeout(ctx, 2*queryTimeout)
	defer cancel()
	if err := n.limiter.Wait(ctx); err != nil {
		return nil
	}
	res := n.server().Query(ctx, dht.NewAddr(net.UDPAddrFromAddrPort(to)), method, dht.QueryInput{
		MsgArgs:      args,
		RateLimiting: dht.QueryRateLimiting{NotAny: true},
	})
	if res.Err != nil || res.Reply.Y != krpc.YResponse {
		return nil
	}
	return &res.Reply
}

// maxReplyPeers is how many addresses of one reply are looked at, chosen by
// chance: so one lying node cannot fill a lookup alone.
const maxReplyPeers = 50

// pick returns the peers of one reply that may be told to a caller.
func (n *node) pick(values []krpc.NodeAddr) []netip.AddrPort {
	rand.Shuffle(len(values), func(i, j int) { values[i], values[j] = values[j], values[i] })
	var list []netip.AddrPort
	for _, v := range values[:min(len(values), maxReplyPeers)] {
		a, ok := netip.AddrFromSlice(v.IP)
		a = a.Unmap()
		if ok && v.Port > 0 && n.cfg.Guard.Allow(a) {
			list = append(list, netip.AddrPortFrom(a, uint16(v.Port)))
		}
	}
	return list
}

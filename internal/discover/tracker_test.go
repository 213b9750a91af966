package discover_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"runtime"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
)

// tracker starts a Tracker and returns it and its ws:// URL. A client is at
// the address that it gives in the header From, else at loopback.
func tracker(t testing.TB, cfg discover.TrackerConfig) (*discover.Tracker, string) {
	t.Helper()
	tr := discover.NewTracker(cfg)
	srv := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if from := r.Header.Get("From"); from != "" {
			r.RemoteAddr = from
		}
		tr.ServeHTTP(w, r)
	}))
	srv.Config.ConnContext = func(ctx context.Context, c net.Conn) context.Context {
		c.(*net.TCPConn).SetWriteBuffer(16 << 10) // so that a slow client is soon noticed
		return ctx
	}
	srv.Start()
	t.Cleanup(func() {
		began := time.Now()
		tr.Close()
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("Close took %v", took)
		}
		srv.Close()
		if n := tr.Sockets(); n != 0 {
			t.Errorf("%d sockets after Close", n)
		}
		if n := tr.Queued(); n != 0 {
			t.Errorf("%d bytes are counted as queued after Close", n)
		}
	})
	return tr, "ws" + strings.TrimPrefix(srv.URL, "http")
}

// peer is a hand-made WebTorrent client.
type peer struct {
	t  testing.TB
	ws *websocket.Conn
	id string
}

// from is an address that no other client has.
func from(i int) string { return netip.AddrPortFrom(ip4(i), 1).String() }

// dial opens a socket; addr "" is loopback.
func dial(t testing.TB, url, addr string) (*websocket.Conn, *http.Response, error) {
	t.Helper()
	h := http.Header{}
	if addr != "" {
		h.Set("From", addr)
	}
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	ws, r, err := websocket.Dial(ctx, url, &websocket.DialOptions{HTTPHeader: h})
	if err == nil {
		ws.SetReadLimit(1 << 20)
		t.Cleanup(func() { ws.CloseNow() })
	}
	return ws, r, err
}

func newPeer(t testing.TB, url, addr, id string) *peer {
	t.Helper()
	ws, _, err := dial(t, url, addr)
	if err != nil {
		t.Fatal(err)
	}
	return &peer{t, ws, peerID(id)}
}

// peerID fills a name up to 20 bytes.
func peerID(name string) string { return string([]rune(name + strings.Repeat("-", 20))[:20]) }

// bin writes bytes as the protocol does.
func bin(b []byte) string {
	var s strings.Builder
	for _, c := range b {
		s.WriteRune(rune(c))
	}
	return s.String()
}

type object = map[string]any

func (p *peer) send(m object) {
	p.t.Helper()
	b, err := json.Marshal(m)
	if err != nil {
		p.t.Fatal(err)
	}
	p.sendRaw(string(b))
}

func (p *peer) sendRaw(s string) {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	if err := p.ws.Write(ctx, websocket.MessageText, []byte(s)); err != nil {
		p.t.Fatal(err)
	}
}

// read returns the next message.
func (p *peer) read() object {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	_, b, err := p.ws.Read(ctx)
	if err != nil {
		p.t.Fatalf("%s: %v", p.id, err)
	}
	var m object
	if err := json.Unmarshal(b, &m); err != nil {
		p.t.Fatal(err)
	}
	return m
}

// closed reads until the socket ends and returns its status.
func (p *peer) closed() websocket.StatusCode {
	p.t.Helper()
	ctx, cancel := context.WithTimeout(p.t.Context(), patience)
	defer cancel()
	for {
		if _, _, err := p.ws.Read(ctx); err != nil {
			if ctx.Err() != nil {
				p.t.Fatal("the socket is still open")
			}
			return websocket.CloseStatus(err)
		}
	}
}

// request is an announce without offers; more changes it.
func (p *peer) request(h comntr.Hash, left int, more object) object {
	m := object{"action": "announce", "info_hash": bin(h[:]), "peer_id": p.id, "left": left, "uploaded": 0, "downloaded": 0, "numwant": 5}
	for k, v := range more {
		m[k] = v
	}
	return m
}

// announce announces and returns the answer, which must be the next message.
func (p *peer) announce(h comntr.Hash, left int, more object) object {
	p.t.Helper()
	p.send(p.request(h, left, more))
	return p.read()
}

// join announces and fails where it is refused.
func (p *peer) join(h comntr.Hash, left int) {
	p.t.Helper()
	m := p.announce(h, left, object{"event": "started"})
	if m["failure reason"] != nil || m["interval"] != 120.0 || m["info_hash"] != bin(h[:]) {
		p.t.Fatalf("%s: %v", p.id, m)
	}
}

func offers(n int) (list []object) {
	for i := range n {
		list = append(list, object{"offer_id": offerID(i), "offer": object{"type": "offer", "sdp": fmt.Sprint("v=0 offer ", i)}})
	}
	return list
}

func offerID(i int) string { return peerID(fmt.Sprintf("\x00\u00ff%d", i)) }

func (p *peer) answer(h comntr.Hash, to, offerID, sdp string) {
	p.t.Helper()
	p.send(object{"action": "announce", "info_hash": bin(h[:]), "peer_id": p.id, "to_peer_id": to, "offer_id": offerID,
		"answer": object{"type": "answer", "sdp": sdp}})
}

// sync returns when everything sent before has been looked at, and fails where
// something else came.
func (p *peer) sync() {
	p.t.Helper()
	h := hash(1 << 30)
	p.send(object{"action": "scrape", "info_hash": bin(h[:])})
	if m := p.read(); m["action"] != "scrape" {
		p.t.Fatalf("%s got %v", p.id, m)
	}
}

func sdp(m object, kind string) any {
	d, _ := m[kind].(object)
	if d["type"] != kind {
		return nil
	}
	return d["sdp"]
}

// Two peers find each other: the protocol, message by message.
func TestTrackerExchange(t *testing.T) {
	t.Parallel()
	_, url := tracker(t, discover.TrackerConfig{})
	seed, reader := newPeer(t, url, "", "\u00e9\x01seed"), newPeer(t, url, "", "reader")
	if m := seed.announce(reddit, 0, object{"event": "started"}); fmt.Sprint(m["complete"], m["incomplete"]) != "1 0" || m["action"] != "announce" {
		t.Fatal(m)
	}
	if m := reader.announce(reddit, 7, object{"event": "started", "offers": offers(3)}); fmt.Sprint(m["complete"], m["incomplete"]) != "1 1" {
		t.Fatal(m)
	}
	o := seed.read()
	if o["peer_id"] != reader.id || o["offer_id"] != offerID(0) || sdp(o, "offer") != "v=0 offer 0" || o["info_hash"] != bin(reddit[:]) || o["action"] != "announce" {
		t.Fatal(o)
	}
	seed.answer(reddit, reader.id, offerID(0), "v=0 <answer>")
	a := reader.read()
	if a["peer_id"] != seed.id || a["offer_id"] != offerID(0) || sdp(a, "answer") != "v=0 <answer>" || a["info_hash"] != bin(reddit[:]) || a["action"] != "announce" {
		t.Fatal(a)
	}
	// One peer gets one offer of an announce, and an answer itself is not answered.
	seed.sync()
	reader.sync()

	// What each is, and who has gone, shows in the counts.
	for _, step := range []struct {
		who  *peer
		left int
		more object
		want string
	}{
		{reader, 7, nil, "1 1"},
		{reader, 0, object{"event": "completed"}, "2 0"},
		{reader, 5, object{"event": "update"}, "1 1"},
		{reader, 5, object{"left": nil}, "1 1"},
		{reader, 5, object{"left": "much"}, "1 1"},
		{reader, 5, object{"event": "completed", "left": nil}, "2 0"},
		{reader, 5, object{"event": "stopped"}, "1 0"},
		{reader, 5, object{"event": "stopped"}, "1 0"},
		{seed, 0, object{"event": "paused"}, "1 0"},
	} {
		if m := step.who.announce(reddit, step.left, step.more); fmt.Sprint(m["complete"], " ", m["incomplete"]) != step.want {
			t.Errorf("%v: %v; want %s", step.more, m, step.want)
		}
	}
	news := hash(7)
	seed.send(object{"action": "scrape", "info_hash": []string{bin(reddit[:]), bin(news[:])}})
	files, _ := seed.read()["files"].(object)
	if want := fmt.Sprint(object{bin(reddit[:]): object{"complete": 1, "incomplete": 0, "downloaded": 0}, bin(news[:]): object{"complete": 0, "incomplete": 0, "downloaded": 0}}); fmt.Sprint(files) != want {
		t.Errorf("%v; want %s", files, want)
	}
}

// A reader's few offers reach the one seed among 40 idle readers, each time.
func TestTrackerSeedsFirst(t *testing.T) {
	t.Parallel()
	_, url := tracker(t, discover.TrackerConfig{NoLimits: true})
	seed := newPeer(t, url, "", "seed")
	seed.join(reddit, 0)
	for i := range 40 {
		newPeer(t, url, "", fmt.Sprint("idle", i)).join(reddit, 1)
	}
	for i := range 20 {
		reader := newPeer(t, url, "", fmt.Sprint("reader", i))
		reader.announce(reddit, 1, object{"offers": offers(5)})
		if m := seed.read(); m["peer_id"] != reader.id {
			t.Fatal(m)
		}
		reader.announce(reddit, 1, object{"event": "stopped"})
	}
}

// However many seeds one address has, those of others get an offer too, and
// leechers get what is left.
func TestTrackerSpreadsOffers(t *testing.T) {
	t.Parallel()
	_, url := tracker(t, discover.TrackerConfig{})
	honest := newPeer(t, url, from(1), "honest")
	honest.join(reddit, 0)
	for i := range 30 {
		newPeer(t, url, from(2), fmt.Sprint("many", i)).join(reddit, 0)
	}
	reader := newPeer(t, url, from(3), "reader")
	for range 20 {
		reader.announce(reddit, 1, object{"offers": offers(2)})
		if m := honest.read(); m["peer_id"] != reader.id {
			t.Fatal(m)
		}
	}
	leecher := newPeer(t, url, from(4), "leecher")
	leecher.join(hash(1), 1)
	reader.announce(hash(1), 1, object{"offers": offers(2)})
	if m := leecher.read(); m["peer_id"] != reader.id {
		t.Error(m)
	}
}

// Only an offer that was made to this very peer, not long ago, can be answered,
// and once.
func TestTrackerAnswersOnlyToOffers(t *testing.T) {
	t.Parallel()
	tr, url := tracker(t, discover.TrackerConfig{})
	victim, seed, other := newPeer(t, url, "", "victim"), newPeer(t, url, "", "seed"), newPeer(t, url, "", "other")
	seed.join(reddit, 0)
	other.join(hash(1), 0)
	victim.announce(reddit, 1, object{"offers": offers(1)})
	if m := seed.read(); m["offer_id"] != offerID(0) {
		t.Fatal(m)
	}
	other.answer(reddit, victim.id, offerID(0), "not in the swarm")
	other.sync()
	other.join(reddit, 1)
	other.answer(reddit, victim.id, offerID(0), "of another's offer")
	other.sync()
	seed.answer(reddit, victim.id, offerID(1), "to no offer")
	seed.answer(hash(1), victim.id, offerID(0), "in another swarm")
	seed.answer(reddit, other.id, offerID(0), "to another")
	seed.answer(reddit, peerID("nobody"), offerID(0), "to nobody")
	seed.id, other.id = other.id, seed.id
	seed.answer(reddit, victim.id, offerID(0), "under another's name")
	seed.id, other.id = other.id, seed.id
	seed.sync()
	other.sync()
	victim.sync()
	seed.answer(reddit, victim.id, offerID(0), "good")
	seed.answer(reddit, victim.id, offerID(0), "twice")
	seed.sync()
	if m := victim.read(); sdp(m, "answer") != "good" {
		t.Fatal(m)
	}
	victim.sync()

	victim.announce(reddit, 1, object{"offers": offers(1)})
	seed.read()
	tr.Age(3 * time.Minute)
	seed.answer(reddit, victim.id, offerID(0), "too late")
	seed.sync()
	victim.sync()
}

// Who comes second under a peer id is refused, but the first must be alive.
func TestTrackerPeerIDs(t *testing.T) {
	t.Parallel()
	_, url := tracker(t, discover.TrackerConfig{})
	first, second := newPeer(t, url, "", "same"), newPeer(t, url, "", "same")
	first.join(reddit, 0)
	first.join(reddit, 0)
	if m := second.announce(reddit, 0, nil); m["failure reason"] == nil || m["info_hash"] != bin(reddit[:]) {
		t.Error(m)
	}
	second.join(hash(1), 0) // another swarm's ids are its own
	first.id = peerID("changed")
	if m := first.announce(reddit, 0, nil); m["failure reason"] == nil {
		t.Error(m)
	}
	first.ws.CloseNow()
	eventually(t, "the first one is gone", func() bool {
		return second.announce(reddit, 0, nil)["failure reason"] == nil
	})
}

// hostile are messages that get a refusal, and leave the socket as it was.
func hostile() map[string]string {
	h := `"info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"pppppppppppppppppppp"`
	announce := func(more string) string { return `{"action":"announce",` + h + more + `}` }
	return map[string]string{
		"nothing":                   ``,
		"not JSON":                  `{"action"`,
		"two values":                `{} {}`,
		"a list":                    `[]`,
		"a string":                  `"announce"`,
		"null":                      `null`,
		"no action":                 `{` + h + `}`,
		"an action of its own":      `{"action":"connect",` + h + `}`,
		"an action that is a list":  `{"action":["announce"],` + h + `}`,
		"no info_hash":              `{"action":"announce","peer_id":"pppppppppppppppppppp"}`,
		"an info_hash of 19":        `{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaa","peer_id":"pppppppppppppppppppp"}`,
		"an info_hash of 21":        `{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaaa","peer_id":"pppppppppppppppppppp"}`,
		"an info_hash in hex":       `{"action":"announce","info_hash":"` + reddit.String() + `","peer_id":"pppppppppppppppppppp"}`,
		"an info_hash of runes":     `{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaa\u0100","peer_id":"pppppppppppppppppppp"}`,
		"a lone surrogate":          `{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaa\ud800","peer_id":"pppppppppppppppppppp"}`,
		"not UTF-8":                 "{\"action\":\"announce\",\"info_hash\":\"aaaaaaaaaaaaaaaaaaa\xff\",\"peer_id\":\"pppppppppppppppppppp\"}",
		"an info_hash, a number":    `{"action":"announce","info_hash":7,"peer_id":"pppppppppppppppppppp"}`,
		"two info_hashes":           `{"action":"announce","info_hash":["aaaaaaaaaaaaaaaaaaaa","aaaaaaaaaaaaaaaaaaab"],"peer_id":"pppppppppppppppppppp"}`,
		"no peer_id":                `{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa"}`,
		"a short peer_id":           `{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":"p"}`,
		"a peer_id, an object":      `{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":{}}`,
		"offers, an object":         announce(`,"offers":{"length":5}`),
		"offers, a number":          announce(`,"offers":5`),
		"an offer, null":            announce(`,"offers":[null]`),
		"an offer, a string":        announce(`,"offers":["v=0"]`),
		"an offer of no type":       announce(`,"offers":[{"offer_id":"i","offer":{"sdp":"v=0"}}]`),
		"an offer that answers":     announce(`,"offers":[{"offer_id":"i","offer":{"type":"answer","sdp":"v=0"}}]`),
		"an offer without SDP":      announce(`,"offers":[{"offer_id":"i","offer":{"type":"offer"}}]`),
		"an offer without id":       announce(`,"offers":[{"offer":{"type":"offer","sdp":"v=0"}}]`),
		"an offer's id, a number":   announce(`,"offers":[{"offer_id":1,"offer":{"type":"offer","sdp":"v=0"}}]`),
		"an offer's id, long":       announce(`,"offers":[{"offer_id":"` + strings.Repeat("i", 65) + `","offer":{"type":"offer","sdp":"v=0"}}]`),
		"an SDP, long":              announce(`,"offers":[{"offer_id":"i","offer":{"type":"offer","sdp":"` + strings.Repeat("v", 16<<10+1) + `"}}]`),
		"an SDP, an object":         announce(`,"offers":[{"offer_id":"i","offer":{"type":"offer","sdp":{}}}]`),
		"an answer of no type":      announce(`,"to_peer_id":"qqqqqqqqqqqqqqqqqqqq","offer_id":"i","answer":{"sdp":"v=0"}`),
		"an answer to nobody":       announce(`,"offer_id":"i","answer":{"type":"answer","sdp":"v=0"}`),
		"an answer to no offer":     announce(`,"to_peer_id":"qqqqqqqqqqqqqqqqqqqq","answer":{"type":"answer","sdp":"v=0"}`),
		"an answer, long":           announce(`,"to_peer_id":"qqqqqqqqqqqqqqqqqqqq","offer_id":"i","answer":{"type":"answer","sdp":"` + strings.Repeat("v", 16<<10+1) + `"}`),
		"a scrape of everything":    `{"action":"scrape"}`,
		"a scrape of nothing":       `{"action":"scrape","info_hash":[]}`,
		"a scrape of 65":            `{"action":"scrape","info_hash":["aaaaaaaaaaaaaaaaaaaa"` + strings.Repeat(`,"aaaaaaaaaaaaaaaaaaaa"`, 64) + `]}`,
		"a scrape of a short one":   `{"action":"scrape","info_hash":["aaaaaaaaaaaaaaaaaaaa","a"]}`,
		"deep":                      `{"action":` + strings.Repeat(`[`, 30_000) + strings.Repeat(`]`, 30_000) + `}`,
		"deep, in what is not read": `{"action":"announce","x":` + strings.Repeat(`{"x":`, 10_000) + `1` + strings.Repeat(`}`, 10_000) + `}`,
	}
}

func TestTrackerHostileMessages(t *testing.T) {
	t.Parallel()
	tr, url := tracker(t, discover.TrackerConfig{NoLimits: true})
	for name, m := range hostile() {
		p := newPeer(t, url, "", "hostile")
		p.sendRaw(m)
		got := p.read()
		reason, _ := got["failure reason"].(string)
		if reason == "" || len(reason) > 300 {
			t.Errorf("%s: %v", name, got)
		}
		p.sync()
	}
	if n := tr.Swarms(); n != 0 {
		t.Errorf("%d swarms", n)
	}
	// What was refused left nothing; what merely says more is taken.
	p := newPeer(t, url, "", "more")
	if m := p.announce(reddit, 1, object{"offers": nil, "numwant": "many", "trackerid": object{}, "event": "whatever"}); m["failure reason"] != nil {
		t.Error(m)
	}
}

// A peer of this process gets offers before all others, and its answers go the
// way back.
func TestTrackerJoin(t *testing.T) {
	t.Parallel()
	tr, url := tracker(t, discover.TrackerConfig{})
	id := discover.PeerID([]byte(peerID("local")))
	got := make(chan discover.Offer, 10)
	leave, err := tr.Join(reddit, id, func(_ context.Context, o discover.Offer) (string, bool) {
		got <- o
		return "answer to " + o.SDP, o.SDP != "v=0 offer 9"
	})
	if err != nil {
		t.Fatal(err)
	}
	if _, err := tr.Join(reddit, id, nil); err != discover.ErrPeerIDTaken {
		t.Error(err)
	}
	for i := range 10 {
		newPeer(t, url, "", fmt.Sprint("seed", i)).join(reddit, 0)
	}
	reader := newPeer(t, url, "", "reader")
	if m := reader.announce(reddit, 1, object{"offers": offers(1)}); m["complete"] != 11.0 {
		t.Error(m)
	}
	o := <-got
	if o.Infohash != reddit || string(o.PeerID[:]) != reader.id || o.SDP != "v=0 offer 0" || o.From != netip.MustParseAddr("127.0.0.1") || o.Tracker != "" {
		t.Errorf("%+v", o)
	}
	if m := reader.read(); m["peer_id"] != peerID("local") || m["offer_id"] != offerID(0) || sdp(m, "answer") != "answer to v=0 offer 0" {
		t.Error(m)
	}
	reader.announce(reddit, 1, object{"offers": offers(10)[9:]})
	<-got // and refuses it
	reader.sync()
	leave()
	leave()
	if m := reader.announce(reddit, 1, object{"offers": offers(1)}); m["complete"] != 10.0 {
		t.Error(m)
	}
	reader.sync()
	if len(got) > 0 {
		t.Error("an offer after leave")
	}
	tr.Close()
	if _, err := tr.Join(reddit, id, nil); err != discover.ErrTrackerClosed {
		t.Error(err)
	}
}

// Answers being made are bounded, for one address too, and end with the
// Tracker.
func TestTrackerJoinIsBounded(t *testing.T) {
	t.Parallel()
	tr, url := tracker(t, discover.TrackerConfig{})
	var n atomic.Int32
	tr.Join(reddit, discover.PeerID{1}, func(ctx context.Context, o discover.Offer) (string, bool) {
		n.Add(1)
		<-ctx.Done()
		return "", false
	})
	for i := range 12 { // of 12 addresses, each with up to 6 offers
		p := newPeer(t, url, from(i), fmt.Sprint("reader", i))
		for range 6 {
			p.announce(reddit, 1, object{"offers": offers(1)})
		}
		p.announce(reddit, 1, object{"event": "stopped"})
		p.sync()
		if want := int32(min(4*(i+1), 32)); n.Load() > want {
			t.Fatalf("%d answers are being made for %d addresses", n.Load(), i+1)
		}
	}
	eventually(t, "32 answers", func() bool { return n.Load() == 32 })
}

func TestTrackerBounds(t *testing.T) {
	t.Parallel()
	refused := func(p *peer, h comntr.Hash) string {
		s, _ := p.announce(h, 1, nil)["failure reason"].(string)
		return s
	}
	t.Run("sockets of one address", func(t *testing.T) {
		t.Parallel()
		tr, url := tracker(t, discover.TrackerConfig{})
		v6 := func(i int) string { return fmt.Sprintf("[2a00:1:2:3::%x]:1", i+1) }
		first := newPeer(t, url, v6(0), "first")
		for i := range 31 {
			newPeer(t, url, v6(i+1), "more")
		}
		_, r, err := dial(t, url, v6(99))
		if err == nil || r == nil || r.StatusCode != http.StatusServiceUnavailable || r.Header.Get("Retry-After") != "60" || r.Header.Get("Content-Type") != "application/problem+json" {
			t.Fatal(r, err)
		}
		newPeer(t, url, "[2a00:1:2:4::1]:1", "neighbour")
		first.ws.CloseNow()
		eventually(t, "a place", func() bool { return tr.Sockets() == 32 })
		newPeer(t, url, v6(99), "later")
	})
	t.Run("sockets in all", func(t *testing.T) {
		t.Parallel()
		tr, url := tracker(t, discover.TrackerConfig{NoLimits: true})
		leave := tr.Fill(2047)
		newPeer(t, url, "", "last")
		if _, r, err := dial(t, url, ""); err == nil || r == nil || r.StatusCode != http.StatusServiceUnavailable {
			t.Fatal(r, err)
		}
		leave()
	})
	t.Run("swarms of one socket", func(t *testing.T) {
		t.Parallel()
		tr, url := tracker(t, discover.TrackerConfig{})
		p := newPeer(t, url, "", "p")
		for i := range 32 {
			p.join(hash(i), 1)
		}
		if refused(p, hash(32)) == "" {
			t.Error("33 swarms")
		}
		p.announce(hash(0), 1, object{"event": "stopped"})
		if s := refused(p, hash(32)); s != "" {
			t.Error(s)
		}
		p.ws.CloseNow()
		eventually(t, "no swarms", func() bool { return tr.Swarms() == 0 })
	})
	t.Run("swarms in all", func(t *testing.T) {
		t.Parallel()
		tr, url := tracker(t, discover.TrackerConfig{})
		for i := range 10_000 {
			if _, err := tr.Join(hash(i), discover.PeerID{}, nil); err != nil {
				t.Fatal(err)
			}
		}
		p := newPeer(t, url, "", "p")
		if refused(p, hash(10_000)) == "" {
			t.Error("10,001 swarms")
		}
		p.join(hash(1), 1)
	})
	t.Run("peers of a swarm", func(t *testing.T) {
		t.Parallel()
		tr, url := tracker(t, discover.TrackerConfig{})
		var leave func()
		for i := range 1024 {
			leave, _ = tr.Join(reddit, discover.PeerID{byte(i), byte(i >> 8)}, nil)
		}
		p := newPeer(t, url, "", "p")
		if refused(p, reddit) == "" {
			t.Error("1,025 peers")
		}
		leave()
		p.join(reddit, 1)
	})
	t.Run("a message", func(t *testing.T) {
		t.Parallel()
		_, url := tracker(t, discover.TrackerConfig{})
		p := newPeer(t, url, "", "p")
		p.announce(reddit, 1, object{"padding": strings.Repeat("x", 65_000)})
		p.sendRaw(`"` + strings.Repeat("x", 64<<10) + `"`)
		if s := p.closed(); s != websocket.StatusMessageTooBig {
			t.Error(s)
		}
	})
	t.Run("offers of an announce", func(t *testing.T) {
		t.Parallel()
		_, url := tracker(t, discover.TrackerConfig{NoLimits: true})
		var seeds []*peer
		for i := range 15 {
			s := newPeer(t, url, "", fmt.Sprint("seed", i))
			s.join(reddit, 0)
			seeds = append(seeds, s)
		}
		p := newPeer(t, url, "", "p")
		list := append(offers(50), object{"not": "looked at"})
		if m := p.announce(reddit, 1, object{"offers": list}); m["failure reason"] != nil {
			t.Fatal(m)
		}
		var got []string
		for _, s := range seeds {
			s.send(object{"action": "scrape", "info_hash": bin(reddit[:])})
			for m := s.read(); m["action"] != "scrape"; m = s.read() {
				got = append(got, m["offer_id"].(string))
			}
		}
		slices.Sort(got)
		var want []string
		for i := range 10 {
			want = append(want, offerID(i))
		}
		if !slices.Equal(got, want) {
			t.Errorf("%q", got)
		}
	})
	t.Run("offers that can be answered", func(t *testing.T) {
		t.Parallel()
		tr, url := tracker(t, discover.TrackerConfig{})
		p, seed := newPeer(t, url, "", "p"), newPeer(t, url, "", "seed")
		seed.join(reddit, 0)
		for i := range 65 {
			o := offers(i + 1)
			p.announce(reddit, 1, object{"offers": o[i:]})
			seed.read()
		}
		if n := tr.Outstanding(); n != 64 {
			t.Errorf("%d", n)
		}
		seed.answer(reddit, p.id, offerID(0), "to the one that made place")
		seed.answer(reddit, p.id, offerID(1), "good")
		if m := p.read(); sdp(m, "answer") != "good" {
			t.Error(m)
		}
	})
	t.Run("messages a second", func(t *testing.T) {
		t.Parallel()
		_, url := tracker(t, discover.TrackerConfig{})
		p := newPeer(t, url, "", "p")
		began := time.Now()
		for range 100 { // 40 at once, then 20 a second
			p.send(p.request(reddit, 1, nil))
		}
		for range 100 {
			p.read()
		}
		if took := time.Since(began); took < 2500*time.Millisecond {
			t.Errorf("100 messages in %v", took)
		}
	})
}

// A client that takes nothing is sent no more offers, costs a bounded amount of
// memory, and is dropped when even what it asks for does not fit.
func TestTrackerSlowClient(t *testing.T) {
	t.Parallel()
	tr, url := tracker(t, discover.TrackerConfig{NoLimits: true})
	slow, other := newPeer(t, url, "", "slow"), newPeer(t, url, "", "other")
	slow.join(reddit, 0)
	big := []object{{"offer_id": "i", "offer": object{"type": "offer", "sdp": strings.Repeat("v", 16<<10)}}}
	other.join(reddit, 1)
	passedBy := 0
	for sent := 0; passedBy < 5; sent++ { // first the kernel's buffers fill
		if sent == 1000 {
			t.Fatal("1,000 offers of 16 KiB, and all went to who reads none")
		}
		p := newPeer(t, url, "", fmt.Sprint("p", sent))
		p.announce(reddit, 1, object{"offers": big})
		p.announce(reddit, 1, object{"event": "stopped"})
		p.ws.CloseNow()
		other.send(object{"action": "scrape", "info_hash": bin(reddit[:])})
		for m := other.read(); m["action"] != "scrape"; m = other.read() {
			passedBy++
		}
		if n := tr.Queued(); n > 64<<10 {
			t.Fatalf("%d bytes are queued", n)
		}
	}
	var list []string
	for i := range 64 {
		h := hash(i)
		list = append(list, bin(h[:]))
	}
	b, err := json.Marshal(object{"action": "scrape", "info_hash": list})
	if err != nil {
		t.Fatal(err)
	}
	// It is read slowly, since it asks for much: how soon it is dropped is the
	// limiter's matter.
	for asked := 0; slow.ws.Write(t.Context(), websocket.MessageText, b) == nil; asked++ {
		if asked == 1000 {
			t.Fatal("1,000 answers that nobody takes, and the socket is still there")
		}
		if n := tr.Queued(); n > 128<<10 {
			t.Errorf("%d bytes are queued", n)
		}
	}
	eventually(t, "dropped", func() bool { return tr.Sockets() == 1 })
}

// A stop tells its clients so, and does not wait for those that do not listen.
func TestTrackerStop(t *testing.T) {
	t.Parallel()
	tr, url := tracker(t, discover.TrackerConfig{})
	listening := newPeer(t, url, "", "listening")
	listening.join(reddit, 0)
	deaf := newPeer(t, url, "", "deaf")
	deaf.join(reddit, 1)
	go tr.Close()
	if s := listening.closed(); s != websocket.StatusGoingAway {
		t.Error(s)
	}
	tr.Close()
	if _, r, err := dial(t, url, ""); err == nil || r == nil || r.StatusCode != http.StatusServiceUnavailable {
		t.Error(r, err)
	}
}

// network is one without buffers, whose time is synctest's.
type network chan net.Conn

func (n network) Accept() (net.Conn, error) {
	if c, ok := <-n; ok {
		return c, nil
	}
	return nil, net.ErrClosed
}

func (n network) Close() error   { return nil }
func (n network) Addr() net.Addr { return &net.UnixAddr{Name: "network"} }

func (n network) dial(t *testing.T) *websocket.Conn {
	t.Helper()
	ws, _, err := websocket.Dial(t.Context(), "ws://tracker", &websocket.DialOptions{
		HTTPClient: &http.Client{Transport: &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) {
			client, server := net.Pipe()
			n <- server
			return client, nil
		}}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return ws
}

// inTime runs f with a Tracker in a synctest bubble.
func inTime(t *testing.T, f func(t *testing.T, tr *discover.Tracker, n network)) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		tr := discover.NewTracker(discover.TrackerConfig{NoLimits: true})
		n := make(network)
		srv := &http.Server{Handler: tr}
		done := make(chan error, 1)
		go func() { done <- srv.Serve(n) }()
		f(t, tr, n)
		began := time.Now()
		tr.Close()
		if took := time.Since(began); took > time.Second {
			t.Errorf("Close took %v", took)
		}
		close(n)
		<-done
		srv.Close()
	})
}

// after reports whether the Tracker has n sockets when d has passed.
func after(t *testing.T, tr *discover.Tracker, d time.Duration, n int) {
	t.Helper()
	time.Sleep(d)
	synctest.Wait()
	if got := tr.Sockets(); got != n {
		t.Errorf("%d sockets after %v; want %d", got, d, n)
	}
}

// A client that answers pings stays as long as it announces, and ten minutes
// more.
func TestTrackerIdle(t *testing.T) {
	inTime(t, func(t *testing.T, tr *discover.Tracker, n network) {
		ws := n.dial(t)
		ctx := ws.CloseRead(t.Context())
		after(t, tr, 9*time.Minute, 1)
		p := &peer{t, ws, peerID("p")}
		p.send(object{"action": "scrape", "info_hash": bin(reddit[:])}) // whose answer ends CloseRead
		<-ctx.Done()
		after(t, tr, time.Second, 0)

		ws = n.dial(t)
		heard := make(chan error, 1)
		go func() {
			var err error
			for err == nil {
				_, _, err = ws.Read(context.Background())
			}
			heard <- err
		}()
		p.ws = ws
		for range 5 {
			after(t, tr, 9*time.Minute, 1)
			p.send(p.request(reddit, 1, nil))
		}
		after(t, tr, 10*time.Minute-time.Second, 1)
		after(t, tr, 2*time.Second, 0)
		<-heard
		ws.CloseNow()
	})
}

// A client that answers no ping is gone after a minute.
func TestTrackerPings(t *testing.T) {
	inTime(t, func(t *testing.T, tr *discover.Tracker, n network) {
		ws := n.dial(t)
		defer ws.CloseNow()
		after(t, tr, 50*time.Second, 1)
		after(t, tr, 15*time.Second, 0)
	})
}

// A message that does not end is not waited for.
func TestTrackerStalledMessage(t *testing.T) {
	inTime(t, func(t *testing.T, tr *discover.Tracker, n network) {
		ws := n.dial(t)
		defer ws.CloseNow()
		w, err := ws.Writer(t.Context(), websocket.MessageText)
		if err != nil {
			t.Fatal(err)
		}
		w.Write(make([]byte, 8192)) // more than is buffered on the way
		after(t, tr, 9*time.Second, 1)
		after(t, tr, 2*time.Second, 0)
	})
}

// A client that does not take its answer is not waited for.
func TestTrackerStalledReader(t *testing.T) {
	inTime(t, func(t *testing.T, tr *discover.Tracker, n network) {
		ws := n.dial(t)
		defer ws.CloseNow()
		p := &peer{t, ws, peerID("p")}
		p.send(p.request(reddit, 1, nil))
		after(t, tr, 9*time.Second, 1)
		after(t, tr, 2*time.Second, 0)
	})
}

// Pings of a client are answered, a flood of them ends the socket.
func TestTrackerPingFlood(t *testing.T) {
	inTime(t, func(t *testing.T, tr *discover.Tracker, n network) {
		ws := n.dial(t)
		ctx := ws.CloseRead(t.Context())
		for range 5 {
			time.Sleep(29 * time.Second) // never when the Tracker pings: two pongs at once need a buffer
			if err := ws.Ping(t.Context()); err != nil {
				t.Fatal(err)
			}
		}
		pings := 0
		for ws.Ping(t.Context()) == nil {
			pings++
		}
		if pings < 15 || pings > 20 {
			t.Errorf("%d pings at once", pings)
		}
		<-ctx.Done()
		after(t, tr, 0, 0)
	})
}

// parse must not panic, and what it takes is within the bounds.
func FuzzTrackerMessage(f *testing.F) {
	for _, m := range hostile() {
		f.Add([]byte(m))
	}
	for _, m := range lies() {
		f.Add([]byte(m))
	}
	f.Fuzz(func(t *testing.T, b []byte) {
		if err := discover.CheckMessage(b); err != nil {
			t.Fatal(err)
		}
	})
}

// BenchmarkTrackerIdleSocket measures what a socket costs that is in a swarm
// and says nothing.
func BenchmarkTrackerIdleSocket(b *testing.B) {
	tr := discover.NewTracker(discover.TrackerConfig{NoLimits: true})
	n := make(network)
	srv := &http.Server{Handler: tr}
	go srv.Serve(n)
	const sockets = 1000
	memory := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapInuse + m.StackInuse
	}
	for range b.N {
		var conns []net.Conn
		before := memory()
		for i := range sockets {
			client, server := net.Pipe()
			n <- server
			conns = append(conns, client)
			io.WriteString(client, "GET /announce HTTP/1.1\r\nHost: h\r\nConnection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n")
			buf := make([]byte, 300)
			client.Read(buf)
			m := fmt.Appendf(nil, `{"action":"announce","info_hash":"aaaaaaaaaaaaaaaaaaaa","peer_id":%q}`, peerID(fmt.Sprint(i)))
			client.Write(append([]byte{0x81, 0x80 | byte(len(m)), 0, 0, 0, 0}, m...)) // masked with zeros
			client.Read(buf)
		}
		b.ReportMetric(float64(memory()-before)/sockets, "B/socket")
		for _, c := range conns {
			c.Close()
		}
	}
	tr.Close()
	close(n)
	srv.Close()
}

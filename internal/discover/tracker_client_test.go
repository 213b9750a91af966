package discover_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/coder/websocket"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
)

// runClient runs a TrackerClient until the test ends or stop is called.
func runClient(t *testing.T, cfg discover.TrackerClientConfig) (stop func()) {
	t.Helper()
	cfg.Guard.AllowPrivate = true
	c, err := discover.NewTrackerClient(cfg)
	if err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- c.Run(ctx) }()
	stop = sync.OnceFunc(func() {
		cancel()
		began := time.Now()
		if err := <-done; !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("Run took %v to end", took)
		}
	})
	t.Cleanup(stop)
	return stop
}

func countsOf(p *peer, h comntr.Hash) string {
	p.t.Helper()
	p.send(object{"action": "scrape", "info_hash": bin(h[:])})
	files, _ := p.read()["files"].(object)
	c, _ := files[bin(h[:])].(object)
	return fmt.Sprint(c["complete"], " ", c["incomplete"])
}

// The client is a seed at a tracker, ours or another's, answers the offers that
// come, and says goodbye.
func TestTrackerClient(t *testing.T) {
	t.Parallel()
	_, url := tracker(t, discover.TrackerConfig{})
	got := make(chan discover.Offer, 1)
	id := discover.PeerID{0xff, 0, 'a'}
	stop := runClient(t, discover.TrackerClientConfig{
		URL: url, Infohashes: []comntr.Hash{reddit, hash(1)}, PeerID: id,
		Answer: func(_ context.Context, o discover.Offer) (string, bool) {
			got <- o
			return "answer to " + o.SDP, true
		},
	})
	reader := newPeer(t, url, "", "reader")
	eventually(t, "a seed of both", func() bool {
		return countsOf(reader, reddit) == "1 0" && countsOf(reader, hash(1)) == "1 0"
	})
	reader.send(reader.request(reddit, 1, object{"offers": offers(2)}))
	if o := <-got; o.Infohash != reddit || string(o.PeerID[:]) != reader.id || o.SDP != "v=0 offer 0" || o.Tracker != url || o.From.IsValid() {
		t.Errorf("%+v", o)
	}
	// The tracker's own answer and the client's come in either order.
	m := reader.read()
	if m["offer_id"] == nil {
		m = reader.read()
	} else if own := reader.read(); own["interval"] != 120.0 {
		t.Error(own)
	}
	if m["peer_id"] != bin(id[:]) || m["offer_id"] != offerID(0) || sdp(m, "answer") != "answer to v=0 offer 0" {
		t.Error(m)
	}
	stop()
	eventually(t, "its goodbye", func() bool { return countsOf(reader, reddit) == "0 1" })
}

func TestTrackerClientURLs(t *testing.T) {
	t.Parallel()
	for url, ok := range map[string]bool{
		"ws://192.0.2.1:80/announce": true, "wss://tracker.example": true,
		"http://tracker.example": false, "udp://tracker.example:80": false, "ws://": false, "": false, "ws://a@b/": false, "tracker.example": false, "ws://%zz": false,
	} {
		if _, err := discover.NewTrackerClient(discover.TrackerClientConfig{URL: url}); (err == nil) != ok {
			t.Errorf("%q: %v", url, err)
		}
	}
}

// A tracker that a stranger named leads into no private network, by itself or
// by a redirect.
func TestTrackerClientGuard(t *testing.T) {
	t.Parallel()
	var asked atomic.Int32
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked.Add(1)
		http.Redirect(w, r, "/elsewhere", http.StatusFound)
	}))
	defer srv.Close()
	url := "ws" + strings.TrimPrefix(srv.URL, "http")
	for _, allow := range []bool{false, true} {
		c, err := discover.NewTrackerClient(discover.TrackerClientConfig{URL: url, Guard: comntr.Guard{AllowPrivate: allow}})
		if err != nil {
			t.Fatal(err)
		}
		err = c.Once(t.Context())
		if err == nil || errors.Is(err, comntr.ErrRefusedAddress) == allow {
			t.Errorf("allow %v: %v", allow, err)
		}
	}
	if n := asked.Load(); n != 1 {
		t.Errorf("the server was asked %d times", n)
	}
}

// quote writes s as JSON.
func quote(s string) string {
	b, _ := json.Marshal(s)
	return string(b)
}

// lies are what a tracker may send; none is an offer to answer.
func lies() []string {
	h, other := quote(bin(reddit[:])), bin(make([]byte, 20))
	offer := func(hash, peer, id, offer string) string {
		return fmt.Sprintf(`{"action":"announce","info_hash":%s,"peer_id":%s,"offer_id":%s,"offer":%s}`, quote(hash), quote(peer), quote(id), offer)
	}
	good := `{"type":"offer","sdp":"v=0"}`
	return []string{
		``, `{`, `null`, `[]`, `7`, `{"action":7}`, `{"action":"announce"}`, `{"action":"announce","info_hash":"short"}`,
		`{"failure reason":"\u001b[2J` + strings.Repeat("x", 10_000) + `"}`,
		fmt.Sprintf(`{"action":"announce","info_hash":%s,"interval":-1}`, h),
		fmt.Sprintf(`{"action":"announce","info_hash":%s,"interval":1e300}`, h),
		fmt.Sprintf(`{"action":"announce","info_hash":%s,"failure reason":"%s"}`, h, strings.Repeat("x", 10_000)),
		offer(other, peerID("p"), "i", good),
		offer(bin(reddit[:]), "short", "i", good),
		offer(bin(reddit[:]), peerID("me"), "i", good),
		offer(bin(reddit[:]), peerID("p"), "", good),
		offer(bin(reddit[:]), peerID("p"), strings.Repeat("i", 65), good),
		offer(bin(reddit[:]), peerID("p"), "i", `{"type":"answer","sdp":"v=0"}`),
		offer(bin(reddit[:]), peerID("p"), "i", `{"type":"offer","sdp":""}`),
		offer(bin(reddit[:]), peerID("p"), "i", `{"type":"offer","sdp":"`+strings.Repeat("v", 16<<10+1)+`"}`),
		offer(bin(reddit[:]), peerID("p"), "i", `"v=0"`),
		fmt.Sprintf(`{"action":"announce","info_hash":%s,"offer_id":"i","offer":%s}`, h, good),
	}
}

// However a tracker lies, only good offers are answered, and few at once.
func TestTrackerClientBounds(t *testing.T) {
	t.Parallel()
	h := quote(bin(reddit[:]))
	heard := make(chan string, 100)
	srv := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, nil)
		if err != nil {
			return
		}
		defer ws.CloseNow()
		for _, m := range lies() {
			ws.Write(r.Context(), websocket.MessageText, []byte(m))
		}
		for i := range 40 {
			ws.Write(r.Context(), websocket.MessageText, fmt.Appendf(nil, `{"action":"announce","info_hash":%s,"peer_id":%s,"offer_id":"%d","offer":{"type":"offer","sdp":"v=0"}}`, h, quote(peerID("p")), i))
		}
		for {
			_, b, err := ws.Read(context.Background())
			if err != nil {
				close(heard)
				return
			}
			heard <- string(b)
		}
	}))
	defer srv.Close()
	var n atomic.Int32
	release := make(chan struct{})
	stop := runClient(t, discover.TrackerClientConfig{
		URL: "ws" + strings.TrimPrefix(srv.URL, "http"), Infohashes: []comntr.Hash{reddit}, PeerID: discover.PeerID([]byte(peerID("me"))),
		Answer: func(ctx context.Context, o discover.Offer) (string, bool) {
			n.Add(1)
			if o.Infohash != reddit || string(o.PeerID[:]) != peerID("p") || o.SDP != "v=0" {
				t.Errorf("a lie is answered: %+v", o)
			}
			select {
			case <-release:
			case <-ctx.Done():
			}
			return "v=0", true
		},
	})
	eventually(t, "32 answers being made", func() bool { return n.Load() == 32 })
	close(release)
	answers := 0
	for m := range heard {
		if strings.Contains(m, `"answer"`) {
			answers++
		}
		if answers == 32 {
			stop()
			break
		}
	}
	if answers < 32 {
		t.Errorf("%d answers", answers)
	}
}

func TestTrackerClientReconnects(t *testing.T) {
	t.Parallel()
	for tries, want := range map[int]time.Duration{0: 5 * time.Second, 1: 10 * time.Second, 5: 160 * time.Second, 10: 30 * time.Minute, 1 << 40: 30 * time.Minute} {
		spread := map[time.Duration]bool{}
		for range 200 {
			d := discover.NextReconnect(tries)
			spread[d] = true
			if d < want/2 || d >= want*3/2 {
				t.Fatalf("%d: %v", tries, d)
			}
		}
		if len(spread) < 100 {
			t.Errorf("%d: no jitter", tries)
		}
	}
}

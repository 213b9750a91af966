package api_test

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/webtransport-go"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/api"
)

// packets is a network of packets without delay or loss, whose time is that of
// synctest.
type packets struct {
	mu    sync.Mutex
	hosts map[string]*host
}

type packet struct {
	from net.Addr
	data []byte
}

// host is one end of it, a net.PacketConn.
type host struct {
	net  *packets
	addr *net.UDPAddr
	deaf bool // what is sent to it is lost: so it is with a forged address
	in   chan packet

	mu   sync.Mutex
	late chan struct{} // closed when reads must end
}

func newPackets() *packets { return &packets{hosts: map[string]*host{}} }

func (p *packets) host(addr string) *host {
	h := &host{net: p, addr: net.UDPAddrFromAddrPort(netip.MustParseAddrPort(addr)), in: make(chan packet, 4096), late: make(chan struct{})}
	p.mu.Lock()
	defer p.mu.Unlock()
	p.hosts[addr] = h
	return h
}

func (h *host) WriteTo(b []byte, to net.Addr) (int, error) {
	h.net.mu.Lock()
	defer h.net.mu.Unlock()
	if other := h.net.hosts[to.String()]; other != nil && !other.deaf {
		select {
		case other.in <- packet{h.addr, append([]byte(nil), b...)}:
		default:
		}
	}
	return len(b), nil
}

func (h *host) ReadFrom(b []byte) (int, net.Addr, error) {
	h.mu.Lock()
	late := h.late
	h.mu.Unlock()
	select {
	case p := <-h.in:
		return copy(b, p.data), p.from, nil
	case <-late:
		return 0, nil, os.ErrDeadlineExceeded
	}
}

// SetReadDeadline knows the past and never, which is what QUIC uses.
func (h *host) SetReadDeadline(t time.Time) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if t.IsZero() {
		h.late = make(chan struct{})
	} else {
		close(h.late)
	}
	return nil
}

func (h *host) LocalAddr() net.Addr              { return h.addr }
func (h *host) Close() error                     { return nil }
func (h *host) SetDeadline(time.Time) error      { return errors.ErrUnsupported }
func (h *host) SetWriteDeadline(time.Time) error { return errors.ErrUnsupported }

const wtServer = "192.0.2.1:4084"

// bubble is a server in synctest's time, and its clients' network.
type bubble struct {
	t     *testing.T
	net   *packets
	api   *api.API
	wt    *api.WebTransport
	hello *comntr.WebTransport
	stop  func()
}

func inBubble(t *testing.T, m *memory, rate float64, fn func(t *testing.T, b *bubble)) {
	t.Setenv("QUIC_GO_DISABLE_RECEIVE_BUFFER_WARNING", "true") // packets has none
	synctest.Test(t, func(t *testing.T) {
		m.changed = make(chan struct{}) // one of this bubble's
		c := config(t, m)
		c.Rate = rate
		a := api.New(c)
		certs := newCertificates()
		b := &bubble{t: t, api: a, net: newPackets(), hello: certs.Hello(4084)}
		b.wt = a.WebTransport(b.net.host(wtServer), certs)
		ctx, cancel := context.WithCancel(context.Background())
		done := make(chan error, 1)
		go func() { done <- b.wt.Run(ctx) }()
		b.stop = sync.OnceFunc(func() {
			a.Stop()
			cancel()
			if err := <-done; err != nil {
				t.Error(err)
			}
		})
		defer b.stop()
		synctest.Wait()
		fn(t, b)
	})
}

// dial opens a session from an address; end ends the socket.
func (b *bubble) dial(from string) (s *webtransport.Session, end func()) {
	b.t.Helper()
	s, end, err := b.try(from)
	if err != nil {
		b.t.Fatal(err)
	}
	return s, end
}

// settle lets QUIC's timers of less than a second run out: what was sent has
// arrived then, and what follows from it has happened.
func (b *bubble) settle() {
	time.Sleep(time.Second)
	synctest.Wait()
}

func (b *bubble) try(from string) (s *webtransport.Session, end func(), err error) {
	conn, end, err := b.connect(context.Background(), b.net.host(from))
	if err != nil {
		return nil, end, err
	}
	tr := &webtransport.Transport{}
	cc, err := tr.NewClientConn(conn)
	if err != nil {
		return nil, end, err
	}
	_, s, err = cc.Dial(context.Background(), "https://"+wtServer+comntr.WebTransportPath, nil)
	return s, end, err
}

func (b *bubble) connect(ctx context.Context, h *host) (conn *quic.Conn, end func(), err error) {
	cfg := quicClient.Clone()
	cfg.MaxIdleTimeout = time.Hour
	cfg.KeepAlivePeriod = 10 * time.Second // hostile: it never falls silent
	tr := &quic.Transport{Conn: h}
	conn, err = tr.Dial(ctx, net.UDPAddrFromAddrPort(netip.MustParseAddrPort(wtServer)), pinned(b.hello, time.Now), cfg)
	return conn, func() {
		if conn != nil {
			conn.CloseWithError(0, "")
		}
		tr.Close()
	}, err
}

func TestWebTransportStalls(t *testing.T) {
	m := newMemory("reddit")
	topic := "/" + reddit.String() + "/" + news.String()
	for _, tt := range []struct {
		name   string
		sent   []byte
		drip   bool
		took   time.Duration
		status int // 0: the stream is reset
	}{
		{"before the head", nil, false, 10 * time.Second, 0},
		{"in the head", wtHead("GET", "/topics", nil)[:20], false, 10 * time.Second, 0},
		{"dripping the head", wtHead("GET", "/topics", nil)[:2], true, 10 * time.Second, 0},
		{"in the body", append(wtHead("POST", topic, nil), "Coo"...), false, 10 * time.Second, http.StatusRequestTimeout},
		{"dripping the body", append(wtHead("POST", topic, nil), "Coo"...), true, 30 * time.Second, http.StatusRequestTimeout},
	} {
		t.Run(tt.name, func(t *testing.T) {
			inBubble(t, m, 0, func(t *testing.T, b *bubble) {
				s, end := b.dial("198.51.100.1:1000")
				defer end()
				stream, err := s.OpenStream()
				if err != nil {
					t.Fatal(err)
				}
				if len(tt.sent) == 0 {
					stream.Write([]byte{0}) // else nobody knows of the stream
				}
				stream.Write(tt.sent)
				start := time.Now()
				dripped := make(chan struct{})
				go func() {
					defer close(dripped)
					for tt.drip {
						time.Sleep(3 * time.Second)
						if _, err := stream.Write([]byte(" ")); err != nil {
							return
						}
					}
				}()
				head, err := readWTHead(stream)
				if d := time.Since(start); d.Round(time.Second) != tt.took {
					t.Errorf("after %s", d)
				}
				if e := new(webtransport.StreamError); tt.status == 0 && !errors.As(err, &e) || tt.status != 0 && (err != nil || head.Status != tt.status) {
					t.Errorf("%+v %v", head, err)
				}
				<-dripped
				if m.count() != 0 {
					t.Errorf("%d comments are stored", m.count())
				}
			})
		})
	}
}

// A client that does not read is cut off: first QUIC holds the answer back, then
// the deadline ends it.
func TestWebTransportSlowReader(t *testing.T) {
	m := newMemory("reddit")
	inBubble(t, m, 0, func(t *testing.T, b *bubble) {
		s, end := b.dial("198.51.100.1:1000")
		defer end()
		topic := "/" + reddit.String() + "/" + news.String()
		if _, _, err := ask(t, s, "POST", topic, nil, "Cool!"); err != nil {
			t.Fatal(err)
		}
		m.set(func() { m.carBytes = 100 << 20 })
		stream := send(t, s, wtHead("GET", topic, map[string]string{"accept": comntr.CARType}))
		time.Sleep(time.Minute)
		n, err := io.Copy(io.Discard, stream)
		if e := new(webtransport.StreamError); !errors.As(err, &e) || n > 16<<20 {
			t.Errorf("%d bytes, %v", n, err)
		}
		// The session goes on.
		if head, _, err := ask(t, s, "GET", "/topics", nil, ""); err != nil || head.Status != http.StatusOK {
			t.Errorf("%+v %v", head, err)
		}
	})
}

func TestWebTransportIdle(t *testing.T) {
	// since waits for the connection's end.
	since := func(conn interface{ Context() context.Context }) time.Duration {
		start := time.Now()
		<-conn.Context().Done()
		return time.Since(start).Round(time.Second)
	}
	t.Run("no session", func(t *testing.T) {
		inBubble(t, newMemory("reddit"), 0, func(t *testing.T, b *bubble) {
			conn, end, err := b.connect(t.Context(), b.net.host("198.51.100.1:1000"))
			if err != nil {
				t.Fatal(err)
			}
			defer end()
			if d := since(conn); d != 10*time.Second {
				t.Errorf("ended after %s", d)
			}
		})
	})
	t.Run("no request", func(t *testing.T) {
		inBubble(t, newMemory("reddit"), 0, func(t *testing.T, b *bubble) {
			s, end := b.dial("198.51.100.1:1000")
			defer end()
			time.Sleep(time.Minute)
			if _, _, err := ask(t, s, "GET", "/topics", nil, ""); err != nil {
				t.Fatal(err)
			}
			if d := since(s); d != 2*time.Minute {
				t.Errorf("ended after %s", d)
			}
		})
	})
	t.Run("events", func(t *testing.T) {
		inBubble(t, newMemory("reddit"), 0, func(t *testing.T, b *bubble) {
			s, end := b.dial("198.51.100.1:1000")
			defer end()
			events := send(t, s, wtHead("GET", "/events", nil))
			go io.Copy(io.Discard, events)
			time.Sleep(time.Hour)
			if s.Context().Err() != nil {
				t.Error("a session with a listener ended")
			}
			if n, _ := b.wt.Connections(); n != 1 {
				t.Errorf("%d connections", n)
			}
		})
	})
	t.Run("silence", func(t *testing.T) {
		inBubble(t, newMemory("reddit"), 0, func(t *testing.T, b *bubble) {
			s, end := b.dial("198.51.100.1:1000")
			defer end()
			send(t, s, wtHead("GET", "/events", nil))
			b.net.mu.Lock()
			delete(b.net.hosts, wtServer) // nothing reaches the server any more
			b.net.mu.Unlock()
			time.Sleep(time.Minute - time.Second)
			if n, _ := b.wt.Connections(); n != 1 {
				t.Errorf("%d connections", n)
			}
			time.Sleep(time.Minute)
			if n, _ := b.wt.Connections(); n != 0 {
				t.Errorf("%d connections", n)
			}
		})
	})
}

// First packets from forged addresses take few places, and none from who is
// really there.
func TestWebTransportForgedAddresses(t *testing.T) {
	inBubble(t, newMemory("reddit"), 0, func(t *testing.T, b *bubble) {
		ctx, cancel := context.WithCancel(t.Context())
		var forgers sync.WaitGroup
		for i := range 2 * api.MaxHandshakes {
			forgers.Go(func() {
				h := b.net.host(netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i), 1}), 1000).String())
				h.deaf = true
				_, end, err := b.connect(ctx, h)
				if err == nil {
					t.Error("a forger is connected")
				}
				end()
			})
		}
		b.settle()
		if all, unproven := b.wt.Connections(); all != api.MaxHandshakes || unproven != all {
			t.Errorf("%d connections, %d unproven", all, unproven)
		}
		s, end := b.dial("198.51.100.1:1000")
		defer end()
		if head, _, err := ask(t, s, "GET", "/topics", nil, ""); err != nil || head.Status != http.StatusOK {
			t.Errorf("%+v %v", head, err)
		}
		if all, unproven := b.wt.Connections(); all != api.MaxHandshakes+1 || unproven != api.MaxHandshakes {
			t.Errorf("%d connections, %d unproven", all, unproven)
		}
		time.Sleep(11 * time.Second) // twice handshakeTime
		if all, unproven := b.wt.Connections(); all != 1 || unproven != 0 {
			t.Errorf("%d connections, %d unproven", all, unproven)
		}
		cancel()
		forgers.Wait()
	})
}

// However many first packets come at once, before any was counted.
func TestWebTransportUnproven(t *testing.T) {
	a := api.New(config(t, newMemory("reddit")))
	w := a.WebTransport(nil, newCertificates())
	for i := range 2 * api.MaxHandshakes {
		err := w.Admit(t.Context(), netip.AddrPortFrom(netip.AddrFrom4([4]byte{203, 0, byte(i), 1}), 1000), false)
		if (err == nil) != (i < api.MaxHandshakes) {
			t.Errorf("%d: %v", i, err)
		}
	}
	if err := w.Admit(t.Context(), netip.MustParseAddrPort("203.1.0.1:1000"), true); err != nil {
		t.Errorf("one that has proved its address: %v", err)
	}
	if all, unproven := w.Connections(); all != api.MaxHandshakes+1 || unproven != api.MaxHandshakes {
		t.Errorf("%d connections, %d unproven", all, unproven)
	}
}

// A client learns that nobody reads the rest of its body.
func TestWebTransportBodyOfRefusal(t *testing.T) {
	inBubble(t, newMemory("reddit"), 0, func(t *testing.T, b *bubble) {
		s, end := b.dial("198.51.100.1:1000")
		defer end()
		stream, err := s.OpenStream()
		if err != nil {
			t.Fatal(err)
		}
		stream.Write(append(wtHead("POST", "/nowhere/at/all", nil), "Coo"...))
		if head, err := readWTHead(stream); err != nil || head.Status < 400 {
			t.Errorf("%+v %v", head, err)
		}
		if _, err := io.Copy(io.Discard, stream); err != nil {
			t.Error(err)
		}
		b.settle()
		if _, err := stream.Write([]byte("l!")); err == nil {
			t.Error("the rest of the body is still taken")
		}
	})
}

// A client that wants no more is not kept: its place is free at once.
func TestWebTransportCancel(t *testing.T) {
	m := newMemory("reddit")
	inBubble(t, m, 0, func(t *testing.T, b *bubble) {
		m.set(func() { m.adding = make(chan struct{}) })
		s, end := b.dial("198.51.100.1:1000")
		defer end()
		events := send(t, s, wtHead("GET", "/events", nil))
		post := send(t, s, append(wtHead("POST", "/"+reddit.String()+"/"+news.String(), nil), "Cool!"...))
		b.settle()
		if n := b.api.Listeners(); n != 1 || b.wt.Requests() != 2 {
			t.Fatalf("%d listeners, %d requests", n, b.wt.Requests())
		}
		events.CancelRead(0)
		post.CancelRead(0)
		b.settle()
		if n := b.api.Listeners(); n != 0 || b.wt.Requests() != 0 {
			t.Errorf("%d listeners, %d requests", n, b.wt.Requests())
		}
	})
}

func TestWebTransportConnectionsAreBounded(t *testing.T) {
	inBubble(t, newMemory("reddit"), 0, func(t *testing.T, b *bubble) { // without a rate, no bound for one address
		var ends []func()
		for i := range api.MaxSessions {
			_, end := b.dial(netip.AddrPortFrom(netip.MustParseAddr("198.51.100.1"), uint16(1000+i)).String())
			ends = append(ends, end)
		}
		_, end, err := b.try("198.51.100.2:1000")
		end()
		b.settle() // a hello is two packets, and the second would find a place once others have left
		if e := new(quic.TransportError); !errors.As(err, &e) || e.ErrorCode != quic.ConnectionRefused {
			t.Errorf("one more: %v", err)
		}
		for _, end := range ends {
			end()
		}
		b.settle()
		if n, _ := b.wt.Connections(); n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

// Requests beyond the bound wait for a place, and beyond QUIC's count they
// cannot be made.
func TestWebTransportRequestsAreBounded(t *testing.T) {
	inBubble(t, newMemory("reddit"), 0, func(t *testing.T, b *bubble) {
		s, end := b.dial("198.51.100.1:1000")
		defer end()
		var streams []*webtransport.Stream
		for range api.MaxStreams - 1 {
			streams = append(streams, send(t, s, wtHead("GET", "/events", nil)))
		}
		if _, err := s.OpenStream(); err == nil {
			t.Error("one more can be opened")
		}
		var mu sync.Mutex
		var answered []*webtransport.Stream // in no order that QUIC promises
		var readers sync.WaitGroup
		for _, stream := range streams {
			readers.Go(func() {
				if head, err := readWTHead(stream); err == nil && head.Status == http.StatusOK {
					mu.Lock()
					defer mu.Unlock()
					answered = append(answered, stream)
				}
			})
		}
		now := func(want int) {
			t.Helper()
			b.settle()
			mu.Lock()
			defer mu.Unlock()
			if n := b.api.Listeners(); n != api.MaxRequests || len(answered) != want {
				t.Errorf("%d requests are under way, %d were answered", n, len(answered))
			}
		}
		now(api.MaxRequests)
		// Whoever waits is answered when a place is free.
		for _, stream := range answered[:10] {
			stream.CancelRead(0)
		}
		now(api.MaxRequests + 10)
		if _, err := s.OpenStream(); err != nil {
			t.Errorf("no room after answers: %v", err)
		}
		end()
		readers.Wait()
	})
}

// Streams that say nothing, datagrams and streams in one direction are nobody's
// business, and keep no session from working.
func TestWebTransportNoise(t *testing.T) {
	inBubble(t, newMemory("reddit"), 0, func(t *testing.T, b *bubble) {
		s, end := b.dial("198.51.100.1:1000")
		defer end()
		for range 100 {
			s.SendDatagram([]byte("noise"))
		}
		for {
			u, err := s.OpenUniStream()
			if err != nil {
				break
			}
			u.SetWriteDeadline(time.Now().Add(time.Second))
			u.Write(make([]byte, 1<<10))
		}
		if head, _, err := ask(t, s, "GET", "/topics", nil, ""); err != nil || head.Status != http.StatusOK {
			t.Errorf("%+v %v", head, err)
		}
	})
}

// A stop lets requests finish and arrive, refuses new ones, and ends what does
// not finish.
func TestWebTransportStops(t *testing.T) {
	topic := "/" + reddit.String() + "/" + news.String()
	t.Run("finishes", func(t *testing.T) {
		m := newMemory("reddit")
		inBubble(t, m, 0, func(t *testing.T, b *bubble) {
			adding := make(chan struct{})
			m.set(func() { m.adding = adding })
			s, end := b.dial("198.51.100.1:1000")
			defer end()
			post := send(t, s, append(wtHead("POST", topic, nil), "Cool!"...))
			events := send(t, s, wtHead("GET", "/events", nil))
			b.settle()
			stopped := make(chan struct{})
			go func() { defer close(stopped); b.stop() }()
			if _, err := io.Copy(io.Discard, events); err != nil {
				t.Errorf("the events end with %v", err)
			}
			if head, _, err := ask(t, s, "GET", "/topics", nil, ""); err != nil || head.Status != http.StatusServiceUnavailable {
				t.Errorf("after the stop: %+v %v", head, err)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Second)
			defer cancel()
			_, end2, err := b.connect(ctx, b.net.host("198.51.100.2:1000"))
			end2()
			if err == nil {
				t.Error("a connection is taken after the stop")
			}
			close(adding)
			if head, err := readWTHead(post); err != nil || head.Status != http.StatusCreated {
				t.Errorf("a request under way: %+v %v", head, err)
			}
			<-s.Context().Done()
			<-stopped
		})
	})
	t.Run("hangs", func(t *testing.T) {
		m := newMemory("reddit")
		inBubble(t, m, 0, func(t *testing.T, b *bubble) {
			m.set(func() { m.adding = make(chan struct{}) })
			s, end := b.dial("198.51.100.1:1000")
			defer end()
			post := send(t, s, append(wtHead("POST", topic, nil), "Cool!"...))
			b.settle()
			start := time.Now()
			b.stop()
			if d := time.Since(start); d < 3*time.Second || d > 4*time.Second {
				t.Errorf("the stop took %s", d)
			}
			if head, err := readWTHead(post); err == nil {
				t.Errorf("%+v", head)
			}
		})
	})
	t.Run("without requests", func(t *testing.T) {
		inBubble(t, newMemory("reddit"), 0, func(t *testing.T, b *bubble) {
			s, end := b.dial("198.51.100.1:1000")
			defer end()
			start := time.Now()
			b.stop()
			<-s.Context().Done()
			if d := time.Since(start); d > 100*time.Millisecond {
				t.Errorf("the stop took %s", d)
			}
		})
	})
}

package api_test

import (
	"bufio"
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/api"
)

// pipes is a network without buffers, whose time is that of synctest.
type pipes struct {
	conns chan net.Conn
	done  chan struct{}
	close func()
}

func newPipes() *pipes {
	p := &pipes{conns: make(chan net.Conn), done: make(chan struct{})}
	p.close = sync.OnceFunc(func() { close(p.done) })
	return p
}

func (p *pipes) Accept() (net.Conn, error) {
	select {
	case c := <-p.conns:
		return c, nil
	case <-p.done:
		return nil, net.ErrClosed
	}
}

func (p *pipes) Close() error   { p.close(); return nil }
func (p *pipes) Addr() net.Addr { return &net.UnixAddr{Name: "pipes"} }

func (p *pipes) dial() net.Conn {
	client, server := net.Pipe()
	p.conns <- server
	return client
}

// servePipes runs fn against a server of m, in synctest's time.
func servePipes(t *testing.T, m *memory, rate float64, fn func(t *testing.T, dial func() net.Conn, a *api.API)) {
	synctest.Test(t, func(t *testing.T) {
		m.changed = make(chan struct{}) // one of this bubble's
		c := config(t, m)
		c.Rate = rate
		a := api.New(c)
		s := a.Server()
		p := newPipes()
		done := make(chan error, 1)
		go func() { done <- s.Serve(a.Listener(p)) }()
		fn(t, p.dial, a)
		s.Close()
		if err := <-done; err != http.ErrServerClosed {
			t.Error(err)
		}
	})
}

// answerOf reads an answer and how long it took to come.
func answerOf(t *testing.T, conn net.Conn, start time.Time) (*http.Response, *comntr.Problem, time.Duration) {
	t.Helper()
	r, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	took := time.Since(start)
	var p comntr.Problem
	if r.Header.Get("Content-Type") == "application/problem+json" {
		if err := json.NewDecoder(r.Body).Decode(&p); err != nil {
			t.Fatal(err)
		}
	}
	return r, &p, took
}

// closed reports whether the other end closes the connection within the time
// that net/http leaves it open so that the answer is not lost.
func closed(t *testing.T, conn net.Conn) {
	t.Helper()
	conn.SetReadDeadline(time.Now().Add(time.Second))
	if b, err := io.ReadAll(conn); err != nil {
		t.Errorf("the connection is not closed: %v after %q", err, b)
	}
}

func TestStallingBody(t *testing.T) {
	for _, tt := range []struct {
		name  string
		send  func(net.Conn)
		took  time.Duration
		code  string
		count int
	}{
		{"stalls at once", func(net.Conn) {}, 10 * time.Second, comntr.CodeTimeout, 0},
		{"stalls in the middle", func(c net.Conn) { c.Write([]byte("Coo")) }, 10 * time.Second, comntr.CodeTimeout, 0},
		{"drips", func(c net.Conn) {
			for {
				time.Sleep(9 * time.Second)
				if _, err := c.Write([]byte("C")); err != nil {
					return
				}
			}
		}, 30 * time.Second, comntr.CodeTimeout, 0},
		{"is slow", func(c net.Conn) {
			time.Sleep(9 * time.Second)
			c.Write([]byte("Coo"))
			time.Sleep(9 * time.Second)
			c.Write([]byte("l! 10 byte"))
		}, 18 * time.Second, "", 1},
		{"ends early", func(c net.Conn) { c.Write([]byte("Coo")); c.Close() }, 0, comntr.CodeBadRequest, 0},
	} {
		t.Run(tt.name, func(t *testing.T) {
			m := newMemory("reddit")
			servePipes(t, m, 0, func(t *testing.T, dial func() net.Conn, _ *api.API) {
				conn := dial()
				start := time.Now()
				fmt.Fprintf(conn, "POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 13\r\n\r\n", news)
				sent := make(chan struct{})
				go func() { defer close(sent); tt.send(conn) }()
				if tt.name == "ends early" {
					synctest.Wait() // whoever closed the pipe cannot read from it
				} else {
					r, p, took := answerOf(t, conn, start)
					if took != tt.took || p.Code != tt.code {
						t.Errorf("%d %s after %v", r.StatusCode, p.Code, took)
					}
					if tt.code != "" {
						if r.StatusCode != http.StatusRequestTimeout || !r.Close {
							t.Errorf("status %d, connection closed: %v", r.StatusCode, r.Close)
						}
						closed(t, conn)
					}
				}
				conn.Close()
				<-sent
				synctest.Wait()
				if m.count() != tt.count {
					t.Errorf("%d comments are stored", m.count())
				}
			})
		})
	}
}

// A body that stalls also stalls a refusal that did not wait for it, but no
// longer than any other.
func TestStallingBodyOfRefusal(t *testing.T) {
	m := newMemory("reddit")
	servePipes(t, m, 0, func(t *testing.T, dial func() net.Conn, _ *api.API) {
		for _, path := range []string{"/r/news", "/"} {
			conn := dial()
			start := time.Now()
			fmt.Fprintf(conn, "POST %s HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\n", path)
			r, p, took := answerOf(t, conn, start)
			if took > 10*time.Second || p.Code == "" {
				t.Errorf("%s: %d %s after %v", path, r.StatusCode, p.Code, took)
			}
			closed(t, conn)
			conn.Close()
		}
	})
}

// The deadlines of a request must not outlive it.
func TestDeadlinesEnd(t *testing.T) {
	m := newMemory("reddit")
	servePipes(t, m, 0, func(t *testing.T, dial func() net.Conn, _ *api.API) {
		m.set(func() { m.adding = make(chan struct{}) })
		conn := dial()
		defer conn.Close()
		br := bufio.NewReader(conn)
		for i := range 3 {
			go func() {
				time.Sleep(time.Minute) // the store is slow: that is not the client's fault
				m.adding <- struct{}{}
			}()
			fmt.Fprintf(conn, "POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\n%d", news, i)
			r, err := http.ReadResponse(br, nil)
			if err != nil {
				t.Fatal(err)
			}
			io.Copy(io.Discard, r.Body)
			if r.StatusCode != http.StatusCreated {
				t.Fatalf("status %d", r.StatusCode)
			}
			time.Sleep(time.Minute) // idle, longer than any deadline of the request
		}
	})
}

// Who does not take net/http's own refusal loses the connection, too.
func TestRefusalNotTaken(t *testing.T) {
	servePipes(t, newMemory("reddit"), 0, func(t *testing.T, dial func() net.Conn, a *api.API) {
		conn := dial()
		defer conn.Close()
		fmt.Fprint(conn, "GET /%zz HTTP/1.1\r\nHost: x\r\n\r\n")
		time.Sleep(40 * time.Second)
		if n := a.Counters().Connections; n != 0 {
			t.Errorf("%d connections are left", n)
		}
	})
}

func TestStallingHeader(t *testing.T) {
	servePipes(t, newMemory("reddit"), 0, func(t *testing.T, dial func() net.Conn, _ *api.API) {
		conn := dial()
		defer conn.Close()
		start := time.Now()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost:")
		io.ReadAll(conn)
		if took := time.Since(start); took != 10*time.Second {
			t.Errorf("closed after %v", took)
		}
	})
}

func TestIdleConnection(t *testing.T) {
	servePipes(t, newMemory("reddit"), 0, func(t *testing.T, dial func() net.Conn, _ *api.API) {
		conn := dial()
		defer conn.Close()
		start := time.Now()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		io.ReadAll(conn)
		if took := time.Since(start); took != 2*time.Minute {
			t.Errorf("closed after %v", took)
		}
	})
}

// Who asks for a CAR and does not read it, or reads it byte by byte, loses it
// and gives the place back.
func TestSlowCARReader(t *testing.T) {
	m := newMemory("reddit")
	m.carBytes = 16 << 20
	servePipes(t, m, 0, func(t *testing.T, dial func() net.Conn, _ *api.API) {
		conn := dial()
		fmt.Fprintf(conn, "POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\nConnection: close\r\n\r\nCool!", news)
		io.ReadAll(conn)
		for name, pause := range map[string]time.Duration{"stalls": time.Hour, "drips": 3 * time.Second} {
			conn := dial()
			start := time.Now()
			fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: x\r\nAccept: application/vnd.ipld.car\r\n\r\n", news)
			got := 0
			for b := make([]byte, 32<<10); ; {
				n, err := io.ReadFull(conn, b)
				got += n
				if err != nil {
					break
				}
				time.Sleep(pause)
			}
			if name == "drips" && (time.Since(start) < 30*time.Second || got < 300<<10) {
				t.Errorf("%s: cut after %v with %d bytes", name, time.Since(start), got)
			}
			if got > 1<<20 {
				t.Errorf("%s: got %d bytes", name, got)
			}
			conn.Close()
			synctest.Wait()
		}
	})
}

func TestByteLimits(t *testing.T) {
	m := newMemory("reddit")
	servePipes(t, m, 1, func(t *testing.T, dial func() net.Conn, _ *api.API) {
		do := func(request string) (*http.Response, *comntr.Problem) {
			conn := dial()
			defer conn.Close()
			go fmt.Fprint(conn, request)
			r, p, _ := answerOf(t, conn, time.Now())
			io.Copy(io.Discard, r.Body)
			return r, p
		}
		if r, _ := do(fmt.Sprintf("POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nCool!", news)); r.StatusCode != http.StatusCreated {
			t.Fatal(r.Status)
		}
		m.set(func() { m.carBytes = 300 << 20 })
		car := fmt.Sprintf("GET /%s HTTP/1.1\r\nHost: x\r\nAccept: application/vnd.ipld.car\r\n\r\n", news)
		if r, _ := do(car); r.StatusCode != http.StatusOK {
			t.Fatal(r.Status)
		}
		_, topics, _ := m.blocks()
		id := topics[news]
		for _, request := range []string{
			car,
			fmt.Sprintf("GET /ipfs/%s?format=raw HTTP/1.1\r\nHost: x\r\n\r\n", id),
			fmt.Sprintf("GET /ipfs/%s?format=car&dag-scope=block HTTP/1.1\r\nHost: x\r\n\r\n", id),
			fmt.Sprintf("POST /blocks HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n%s", len(id.String()), id),
			fmt.Sprintf("GET /%s/%s HTTP/1.1\r\nHost: x\r\n\r\n", news, comntr.SumHash([]byte("Cool!"))),
			fmt.Sprintf("GET %s?nonce=%064d HTTP/1.1\r\nHost: x\r\n\r\n", comntr.HelloPath, 1),
			fmt.Sprintf("POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nNice!", news),
		} {
			r, p := do(request)
			if r.StatusCode != http.StatusTooManyRequests || p.Code != comntr.CodeRateLimited || p.RetryAfter != 6 || r.Header.Get("Retry-After") != "6" {
				t.Errorf("%s: %d %+v", strings.SplitN(request, "\r\n", 2)[0], r.StatusCode, p)
			}
		}
		if r, _ := do(fmt.Sprintf("GET /%s HTTP/1.1\r\nHost: x\r\n\r\n", news)); r.StatusCode != http.StatusOK {
			t.Error("an id costs nothing, but:", r.Status)
		}
		time.Sleep(6 * time.Second)
		if r, _ := do(fmt.Sprintf("POST /%s HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nNice!", news)); r.StatusCode != http.StatusCreated {
			t.Error("after waiting as told:", r.Status)
		}
	})
}

// stream reads a stream of events line by line.
type stream struct {
	conn net.Conn
	br   *bufio.Reader
	resp *http.Response
}

func listen(t *testing.T, dial func() net.Conn, path string, headers ...string) *stream {
	t.Helper()
	s := &stream{conn: dial()}
	fmt.Fprintf(s.conn, "GET %s HTTP/1.1\r\nHost: x\r\n%s\r\n", path, strings.Join(append(headers, ""), "\r\n"))
	r, err := http.ReadResponse(bufio.NewReader(s.conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	s.resp = r
	s.br = bufio.NewReader(r.Body)
	return s
}

// next reads up to an empty line, and says how long it took.
func (s *stream) next(t *testing.T) (string, time.Duration) {
	t.Helper()
	start := time.Now()
	var b strings.Builder
	for {
		l, err := s.br.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after %q", err, b.String())
		}
		if l == "\n" {
			return b.String(), time.Since(start)
		}
		b.WriteString(l)
	}
}

func (s *stream) want(t *testing.T, wants ...string) {
	t.Helper()
	for _, want := range wants {
		if got, _ := s.next(t); got != want {
			t.Fatalf("got %q, want %q", got, want)
		}
	}
}

func add(t *testing.T, m *memory, topic, text string) comntr.Hash {
	t.Helper()
	doc, err := comntr.ParseDocument(comntr.Place{Community: m.id, Topic: comntr.NameHash(topic)}, []byte(text))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := m.Add(t.Context(), doc, ""); err != nil {
		t.Fatal(err)
	}
	return doc.ID()
}

func commentEvent(id string, topic string, comment comntr.Hash) string {
	return fmt.Sprintf("id: %s\nevent: comment\ndata: {\"topic\":\"%s\",\"comment\":\"%s\"}\n", id, comntr.NameHash(topic), comment)
}

const epoch = "000000000000e90c-"

func TestEvents(t *testing.T) {
	m := newMemory("reddit")
	servePipes(t, m, 0, func(t *testing.T, dial func() net.Conn, a *api.API) {
		first := add(t, m, "/r/news", "before")
		s := listen(t, dial, "/events")
		if ct := s.resp.Header.Get("Content-Type"); ct != "text/event-stream" {
			t.Error(ct)
		}
		// At once, so that the first event can be resumed from: retry, and where now is.
		s.want(t, "retry: 3000\n", "id: "+epoch+"1\n")
		second := add(t, m, "/r/news", "a")
		s.want(t, commentEvent(epoch+"2", "/r/news", second))
		third := add(t, m, "/r/gifs", "b")
		s.want(t, commentEvent(epoch+"3", "/r/gifs", third))

		// Nothing happens but heartbeats.
		s.br.ReadByte() // returns after 15 s, which the ticker counts from the start
		s.br.UnreadByte()
		if l, _ := s.br.ReadString('\n'); l != ": \n" {
			t.Errorf("heartbeat %q", l)
		}
		start := time.Now()
		if l, _ := s.br.ReadString('\n'); l != ": \n" || time.Since(start) != 15*time.Second {
			t.Errorf("heartbeat %q after %v", l, time.Since(start))
		}
		s.conn.Close()

		// Resumed, by header and by query; the header wins.
		s = listen(t, dial, "/events?since=nonsense", "Last-Event-ID: "+epoch+"1")
		s.want(t, "retry: 3000\n", "id: "+epoch+"1\n", commentEvent(epoch+"2", "/r/news", second), commentEvent(epoch+"3", "/r/gifs", third))
		s.conn.Close()
		s = listen(t, dial, "/events?since="+epoch+"0")
		s.want(t, "retry: 3000\n", "id: "+epoch+"0\n", commentEvent(epoch+"1", "/r/news", first), commentEvent(epoch+"2", "/r/news", second))
		s.conn.Close()

		// One topic alone. The place moves on with the others, and a heartbeat tells.
		s = listen(t, dial, "/"+reddit.String()+"/events?topic="+comntr.NameHash("/r/gifs").String()+"&since="+epoch+"0")
		s.want(t, "retry: 3000\n", "id: "+epoch+"0\n", commentEvent(epoch+"3", "/r/gifs", third))
		add(t, m, "/r/news", "c")
		s.want(t, ": \nid: "+epoch+"4\n")
		s.conn.Close()

		// What cannot be resumed is reset, and goes on from now.
		m.set(func() { m.floor = 2 })
		for _, id := range []string{"000000000000e90d-2", epoch + "1", epoch + "5", epoch, "-2", "nonsense", epoch + "-2", "e90c"} {
			s = listen(t, dial, "/events", "Last-Event-ID: "+id)
			s.want(t, "retry: 3000\n", "id: "+epoch+"4\nevent: reset\ndata: {}\n")
			s.conn.Close()
		}
		s = listen(t, dial, "/events", "Last-Event-ID: nonsense")
		s.want(t, "retry: 3000\n", "id: "+epoch+"4\nevent: reset\ndata: {}\n")
		fifth := add(t, m, "/r/news", "d")
		s.want(t, commentEvent(epoch+"5", "/r/news", fifth))

		// The server stops: the stream ends whole, and new requests are refused.
		a.Stop()
		if _, err := s.br.ReadByte(); err != io.EOF {
			t.Error(err)
		}
		s.conn.Close()
		conn := dial()
		fmt.Fprint(conn, "GET / HTTP/1.1\r\nHost: x\r\n\r\n")
		r, p, _ := answerOf(t, conn, time.Now())
		if r.StatusCode != http.StatusServiceUnavailable || p.Code != comntr.CodeStopping || !r.Close || p.RetryAfter == 0 {
			t.Errorf("%d %+v", r.StatusCode, p)
		}
		conn.Close()
	})
}

// A listener gets everything, however much comes at once, and one that fell
// too far behind while it was connected is told so.
func TestEventsInBulk(t *testing.T) {
	m := newMemory("reddit")
	servePipes(t, m, 0, func(t *testing.T, dial func() net.Conn, a *api.API) {
		s := listen(t, dial, "/events")
		s.want(t, "retry: 3000\n", "id: "+epoch+"0\n")
		const n = 1000
		for i := range n {
			add(t, m, "/r/news", fmt.Sprint(i))
		}
		for i := range n {
			s.want(t, commentEvent(fmt.Sprint(epoch, i+1), "/r/news", comntr.NameHash(fmt.Sprint(i))))
		}
		synctest.Wait()
		m.set(func() {
			for i := range n {
				m.events = append(m.events, comntr.Event{Topic: news, Comment: comntr.NameHash(fmt.Sprint(i))})
			}
			m.floor = uint64(len(m.events)) - 1
			close(m.changed)
			m.changed = make(chan struct{})
		})
		s.want(t, fmt.Sprintf("id: %s%d\nevent: reset\ndata: {}\n", epoch, 2*n))
		s.conn.Close()
	})
}

func TestListenerThatDoesNotRead(t *testing.T) {
	m := newMemory("reddit")
	servePipes(t, m, 0, func(t *testing.T, dial func() net.Conn, a *api.API) {
		s := listen(t, dial, "/events")
		s.want(t, "retry: 3000\n", "id: "+epoch+"0\n")
		add(t, m, "/r/news", "a")
		time.Sleep(10*time.Second + 1)
		if b, err := io.ReadAll(s.br); !errors.Is(err, io.ErrUnexpectedEOF) {
			t.Errorf("got %q, %v", b, err)
		}
		s.conn.Close()
	})
}

func TestListenersAreBounded(t *testing.T) {
	for _, tt := range []struct {
		rate float64
		max  int
	}{{1, 16}, {0, 256}} { // pipes have one address
		m := newMemory("reddit")
		servePipes(t, m, tt.rate, func(t *testing.T, dial func() net.Conn, a *api.API) {
			var all []*stream
			for range tt.max {
				s := listen(t, dial, "/events")
				s.want(t, "retry: 3000\n", "id: "+epoch+"0\n")
				all = append(all, s)
			}
			conn := dial()
			fmt.Fprint(conn, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
			r, p, _ := answerOf(t, conn, time.Now())
			if r.StatusCode != http.StatusServiceUnavailable || p.Code != comntr.CodeBusy || r.Header.Get("Retry-After") != "3" {
				t.Errorf("%d %+v", r.StatusCode, p)
			}
			conn.Close()
			all[0].conn.Close() // makes a place
			synctest.Wait()
			all[0] = listen(t, dial, "/events")
			all[0].want(t, "retry: 3000\n", "id: "+epoch+"0\n")
			for _, s := range all {
				s.conn.Close()
			}
		})
	}
}

// One address cannot take all places for CARs.
func TestCARsAreBounded(t *testing.T) {
	m := newMemory("reddit")
	servePipes(t, m, 1, func(t *testing.T, dial func() net.Conn, a *api.API) {
		add(t, m, "/r/news", "a")
		m.set(func() { m.carBytes = 1 << 20 })
		var conns []net.Conn
		for range 4 { // of one address
			conn := dial()
			fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: x\r\nAccept: application/vnd.ipld.car\r\n\r\n", news)
			conns = append(conns, conn)
		}
		synctest.Wait()
		conn := dial()
		fmt.Fprintf(conn, "GET /%s HTTP/1.1\r\nHost: x\r\nAccept: application/vnd.ipld.car\r\n\r\n", news)
		r, p, _ := answerOf(t, conn, time.Now())
		if r.StatusCode != http.StatusServiceUnavailable || p.Code != comntr.CodeBusy {
			t.Errorf("%d %+v", r.StatusCode, p)
		}
		conn.Close()
		for _, c := range conns {
			r, err := http.ReadResponse(bufio.NewReader(c), nil)
			if err != nil || r.StatusCode != http.StatusOK {
				t.Error(r, err)
			}
			b, err := io.ReadAll(r.Body)
			if err != nil || !bytes.Contains(b, []byte("roots")) {
				t.Error(len(b), err)
			}
			c.Close()
		}
	})
}

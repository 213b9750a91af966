package api

import (
	"bytes"
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/comntr/comntr"
)

// Bounds of connections.
const (
	maxConns       = 4096 // in all
	maxConnsAddr   = 64   // of one address
	maxHeaderBytes = 16 << 10
	headerTime     = 10 * time.Second // for a request's header
	idleTime       = 2 * time.Minute  // between requests
	busyTime       = time.Second      // for telling a connection too many so
)

// Server is an HTTP server for an API.
type Server struct {
	*http.Server
	api *API
}

// Server returns an HTTP server for the API with this package's bounds, which
// serves connections of the API's Listener. Bodies and answers have deadlines of
// their own, set for each request, because a stream of events has none in all.
func (a *API) Server() *Server {
	s := &http.Server{
		Handler:           a.Handler(),
		ReadHeaderTimeout: headerTime,
		IdleTimeout:       idleTime,
		MaxHeaderBytes:    maxHeaderBytes,
		ErrorLog:          slog.NewLogLogger(a.cfg.Log.Handler(), slog.LevelDebug), // strangers cause these
	}
	s.ConnContext = func(ctx context.Context, c net.Conn) context.Context { return context.WithValue(ctx, connKey{}, c) }
	s.ConnState = func(c net.Conn, state http.ConnState) {
		if c, ok := c.(*conn); ok && state == http.StateIdle {
			c.answering.Store(false)
			c.begins, c.whole = c.whole, false
		}
	}
	return &Server{s, a}
}

// Shutdown stops the API and ends the server, as net/http's does: requests under
// way are answered, for as long as ctx allows.
func (s *Server) Shutdown(ctx context.Context) error {
	s.api.Stop()
	if err := s.Server.Shutdown(ctx); err != nil {
		return err
	}
	return s.api.plains.wait(ctx)
}

// connKey is where a request's context has its connection.
type connKey struct{}

// answering tells the request's connection that what is written from now on is
// a handler's, whose answer gets the fields of all there. It returns nil where
// the connection is none of ours.
func answering(r *http.Request) *conn {
	c, ok := r.Context().Value(connKey{}).(*conn)
	if !ok {
		return nil
	}
	c.answering.Store(true)
	c.fields = fieldsOfAll
	return c
}

// Listener wraps l so that there are never more connections than the bounds
// allow. Those too many are told so and closed.
func (a *API) Listener(l net.Listener) net.Listener {
	return &limitListener{Listener: l, api: a}
}

type limitListener struct {
	net.Listener
	api *API
}

func (l *limitListener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			return nil, err
		}
		addr := clientAddr(c.RemoteAddr().String())
		if l.api.conns.enter(addr) {
			return &conn{Conn: c, api: l.api, addr: addr, begins: true, leave: sync.OnceFunc(func() { l.api.conns.leave(addr) })}, nil
		}
		l.api.meter.refused(askedUnknown, comntr.CodeBusy)
		// A new connection's buffer takes these few bytes without waiting.
		c.SetWriteDeadline(time.Now().Add(busyTime))
		c.Write(bareAnswer(later(reconnect, http.StatusServiceUnavailable, comntr.CodeBusy,
			"this server has as many connections as it takes, in all or from your address: close some, or try again later")))
		c.Close()
	}
}

// conn is a connection that is counted, and that answers plain requests itself:
// between two requests net/http reads, and what it reads then need not be what
// the client sent first.
type conn struct {
	net.Conn
	api   *API
	addr  netip.Addr
	leave func()
	state atomic.Int32
	// answering is whether a handler has begun to answer the present request.
	// What is written before that is net/http's own refusal of it.
	answering atomic.Bool
	// fields are those that the head of the present answer still gets, as they
	// are written: those of all, of an id, and for some answers all there are. It
	// is for the goroutine that answers.
	fields []byte

	// begins is whether what is read next begins a request: net/http waits for one
	// and has nothing of it. whole is whether that will be so after the present
	// request: all that net/http got since the last is that request. plain is the
	// method of net/http's last if that was a plain one, so that it is as it would be
	// after those it does not see, else empty. All are for the goroutine that reads,
	// which is one at a time.
	begins, whole bool
	plain         string
	// extended is when the deadlines of plain requests were set; zero: net/http's
	// stand.
	extended time.Time
}

// States of a connection.
const (
	connOpen      = iota
	connAnswering // a plain request is being answered
	connClosing   // and the connection is closed then
)

// extendEvery is how long a connection keeps its deadlines: its bounds in time are
// by so much shorter where plain requests follow one another.
const extendEvery = time.Second

// Read is net/http's read of what the client sends, but for the plain requests in
// it.
func (c *conn) Read(b []byte) (int, error) {
	n, err := c.Conn.Read(b)
	for n > 0 {
		if !c.begins {
			c.whole = false
			break
		}
		p, ok := parsePlain(b[:n])
		if !ok || p.method != c.plain || err != nil || !c.answerPlain(p) {
			c.begins, c.whole, c.plain = false, ok || wholeRead(b[:n]), p.method
			break
		}
		n, err = c.Conn.Read(b)
	}
	if !c.extended.IsZero() {
		c.extended = time.Time{}
		c.Conn.SetWriteDeadline(time.Time{})
	}
	return n, err
}

// extend gives the client answerTime to take an answer, and idleTime to send the
// next request.
func (c *conn) extend() {
	now := time.Now()
	if now.Sub(c.extended) < extendEvery {
		return
	}
	c.extended = now
	c.Conn.SetWriteDeadline(now.Add(answerTime))
	c.Conn.SetReadDeadline(now.Add(idleTime))
}

// Write puts the fields that a map need not hold below an answer's first line,
// and a problem document in the place of net/http's own refusals, which are plain
// text and which no handler sees: of a path with a broken escape, of a header
// that is too large or malformed. net/http writes each of them at once, and
// what it writes of an answer begins with that line.
func (c *conn) Write(b []byte) (int, error) {
	if !c.answering.Load() {
		if refusal := refusal(b); refusal != nil {
			c.api.meter.refused(askedUnknown, comntr.CodeBadRequest)
			c.SetWriteDeadline(time.Now().Add(answerTime)) // net/http sets none, and closes then
			if _, err := c.Conn.Write(refusal); err != nil {
				return 0, err
			}
			return len(b), nil
		}
	}
	if c.fields != nil {
		if line := statusLine(b); line > 0 {
			return c.writeHead(b, line)
		}
	}
	return c.Conn.Write(b)
}

// statusLine is the length of the line that an answer begins with, 0 where b
// begins with none or with one that another follows, as 100 Continue.
func statusLine(b []byte) int {
	const code = len("HTTP/1.1 ")
	if len(b) < code+3 || !bytes.HasPrefix(b, []byte("HTTP/1.")) || b[code] == '1' && !bytes.HasPrefix(b[code:], []byte("101")) {
		return 0
	}
	return bytes.IndexByte(b, '\n') + 1
}

// heads are buffers for the beginning of an answer: the 4 KiB of net/http's, and
// the fields.
var heads = sync.Pool{New: func() any { return new([headBuffer]byte) }}

const headBuffer = 5 << 10

// writeHead writes b with the fields after its first line.
func (c *conn) writeHead(b []byte, line int) (int, error) {
	buf := heads.Get().(*[headBuffer]byte)
	defer heads.Put(buf)
	out := append(append(append(buf[:0], b[:line]...), c.fields...), b[line:]...)
	c.fields = nil
	if _, err := c.Conn.Write(out); err != nil {
		return 0, err
	}
	return len(b), nil
}

// refusal says in a problem document what net/http's answer says, nil where it
// is none.
func refusal(answer []byte) []byte {
	line, _, _ := bytes.Cut(answer, []byte("\r\n"))
	version, reason, ok := strings.Cut(string(line), " ")
	code, _, _ := strings.Cut(reason, " ")
	status, err := strconv.Atoi(code)
	if !ok || err != nil || !strings.HasPrefix(version, "HTTP/1.") || status < 400 {
		return nil
	}
	return bareAnswer(problem(status, comntr.CodeBadRequest,
		"the request cannot be read (%s): its first line, an escape in its path, or a header field is malformed, not supported or too large", reason))
}

// Close closes the connection, after the answer of a plain request if there is one
// under way: net/http takes the connection for an idle one.
func (c *conn) Close() error {
	if c.state.CompareAndSwap(connAnswering, connClosing) {
		return nil
	}
	return c.close()
}

func (c *conn) close() error {
	err := c.Conn.Close()
	c.leave()
	return err
}

// CloseWrite lets net/http end a refused upload without losing the answer.
func (c *conn) CloseWrite() error {
	if cw, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return cw.CloseWrite()
	}
	return nil
}

// bareAnswer is a whole answer, for where no handler writes one.
func bareAnswer(p *comntr.Problem) []byte { return appendProblem(nil, p, encodeProblem(p), true) }

// appendProblem appends a whole answer with the problem document, whose bytes are
// body. Its fields stand as net/http orders them.
func appendProblem(out []byte, p *comntr.Problem, body []byte, closes bool) []byte {
	out = append(append(appendStatus(out, p.Status), fieldsOfAll...), "Cache-Control: no-store\r\n"...)
	if closes {
		out = append(out, "Connection: close\r\n"...)
	}
	out = fmt.Appendf(out, "Content-Length: %d\r\nContent-Type: application/problem+json\r\n", len(body))
	if p.RetryAfter > 0 {
		out = fmt.Appendf(out, "Retry-After: %d\r\n", p.RetryAfter)
	}
	out = appendDate(out)
	return append(append(out, "\r\n"...), body...)
}

func appendStatus(out []byte, status int) []byte {
	out = strconv.AppendInt(append(out, "HTTP/1.1 "...), int64(status), 10)
	return append(append(append(out, ' '), http.StatusText(status)...), "\r\n"...)
}

func appendDate(out []byte) []byte {
	out = time.Now().UTC().AppendFormat(append(out, "Date: "...), http.TimeFormat)
	return append(out, "\r\n"...)
}

package api

import (
	"bytes"
	"context"
	"net/http"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/comntr/comntr"
)

// A plain request is a POST to a topic or a GET of its id, the two that come most,
// that one read had whole, head and body and nothing after them, and whose fields
// change nothing about how it is read. Where net/http had such a one last, those of
// the same method that follow on its connection are answered here, as net/http with
// this package's handler answers them but in less of the server's time; all else
// goes to net/http, byte for byte. TestPlain and its like and FuzzPlain hold the two
// to one another.

// plain is a plain request as it was sent.
type plain struct {
	method string // GET or POST
	target string
	body   []byte   // a POST's, of the buffer that was read into
	tags   []string // a GET's If-None-Match
}

// parsePlain reads one request. It knows less than net/http: of what is not ok,
// for which p is zero, it says nothing but that net/http must judge it.
func parsePlain(b []byte) (p plain, ok bool) {
	switch {
	case bytes.HasPrefix(b, []byte("POST /")):
		p.method = http.MethodPost
	case bytes.HasPrefix(b, []byte("GET /")):
		p.method = http.MethodGet
	default:
		return plain{}, false
	}
	end := bytes.Index(b, blankLine)
	if end < 0 {
		return plain{}, false
	}
	head, body := b[:end+len("\r\n")], b[end+len(blankLine):]
	line, head, _ := bytes.Cut(head, []byte("\r\n"))
	target, ok := bytes.CutSuffix(line[len(p.method)+len(" "):], []byte(" HTTP/1.1"))
	if !ok {
		return plain{}, false
	}
	for _, c := range target {
		if c != '/' && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return plain{}, false
		}
	}
	isGet := p.method == http.MethodGet
	hosts, lengths := 0, 0
	for len(head) > 0 {
		line, head, _ = bytes.Cut(head, []byte("\r\n"))
		name, value, ok := bytes.Cut(line, []byte(":"))
		if !ok || !plainField(name, value) {
			return plain{}, false
		}
		value = bytes.Trim(value, " \t")
		switch special(name) {
		case "":
		case "host":
			if !plainHost(value) {
				return plain{}, false
			}
			hosts++
		case "content-length":
			if plainLength(value) != len(body) {
				return plain{}, false
			}
			lengths++
		case "accept":
			if v := string(value); isGet && v != "*/*" && v != typeText {
				return plain{}, false
			}
		case "if-none-match":
			p.tags = append(p.tags, string(value))
		case "connection":
			if !bytes.EqualFold(value, []byte("keep-alive")) {
				return plain{}, false
			}
		default:
			return plain{}, false
		}
	}
	if hosts != 1 || isGet && len(body) > 0 || !isGet && lengths != 1 {
		return plain{}, false
	}
	p.target, p.body = string(target), body
	return p, true
}

var blankLine = []byte("\r\n\r\n")

// specials are the fields by which net/http, or this package's handler, takes a
// request for something else.
var specials = [...]string{"host", "connection", "accept", "if-none-match", "content-length", "content-encoding", "transfer-encoding", "expect", "upgrade", "trailer", "te", "proxy-connection", "http2-settings"}

// special returns the name as it stands in specials, "" where it does not.
func special(name []byte) string {
	for _, s := range specials {
		if len(s) == len(name) && strings.EqualFold(s, string(name)) {
			return s
		}
	}
	return ""
}

// plainField reports whether the name is a token of RFC 9110, section 5.6.2, and
// the value visible ASCII, spaces and tabs: net/http takes a little more.
func plainField(name, value []byte) bool {
	if !token(string(name)) {
		return false
	}
	for _, c := range value {
		if (c < ' ' || c > '~') && c != '\t' {
			return false
		}
	}
	return true
}

// plainHost reports whether the host is a name or an address, and maybe a port.
func plainHost(host []byte) bool {
	for _, c := range host {
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && !bytes.ContainsRune([]byte("-._:[]"), rune(c)) {
			return false
		}
	}
	return len(host) > 0
}

// plainLength reads one to six digits that begin with none of 0, and is -1 for
// all else.
func plainLength(b []byte) int {
	if len(b) == 0 || len(b) > 6 || b[0] == '0' {
		return -1
	}
	n := 0
	for _, c := range b {
		if c < '0' || c > '9' {
			return -1
		}
		n = 10*n + int(c-'0')
	}
	return n
}

// wholeRead reports whether b is one request without a body, which net/http reads
// to its end and no further: it has nothing before or behind it.
func wholeRead(b []byte) bool {
	if !bytes.HasPrefix(b, []byte("GET ")) && !bytes.HasPrefix(b, []byte("HEAD ")) || bytes.Index(b, blankLine) != len(b)-len(blankLine) {
		return false
	}
	for len(b) > 0 {
		end := bytes.IndexByte(b, '\n')
		// net/http also takes a bare line feed for the end of a line.
		if end < 1 || b[end-1] != '\r' {
			return false
		}
		if colon := bytes.IndexByte(b[:end], ':'); colon >= 0 {
			switch special(b[:colon]) {
			case "", "host", "connection", "accept", "if-none-match":
			default:
				return false
			}
		}
		b = b[end+1:]
	}
	return true
}

// plainRoute is where a plain request goes, not ok where that is no topic here.
func (a *API) plainRoute(p plain) (rt route, ok bool) {
	if len(p.body) > a.cfg.MaxSize || a.page.file(p.target) != nil {
		return route{}, false
	}
	rt, err := parsePath(p.target, a.first, a.hosted)
	return rt, err == nil && rt.kind == kindTopic
}

// answerPlain answers a plain request, or reports that net/http must. It returns
// when the answer is written.
func (c *conn) answerPlain(p plain) bool {
	rt, ok := c.api.plainRoute(p)
	if !ok || !c.api.plains.enter() {
		return false
	}
	defer c.api.plains.leave()
	if !c.state.CompareAndSwap(connOpen, connAnswering) {
		return false
	}
	closes := true // so does a panic, which is net/http's to log
	defer func() {
		if !c.state.CompareAndSwap(connAnswering, connOpen) || closes {
			c.close()
		}
	}()
	buf := heads.Get().(*[headBuffer]byte)
	defer heads.Put(buf)
	answer, last := c.api.answerPlain(buf[:0], c.addr, rt, p)
	if answer == nil {
		closes = false
		return false
	}
	c.extend()
	_, err := c.Conn.Write(answer)
	closes = last || err != nil
	return true
}

// answerPlain does what is asked and appends the answer to out; nil: net/http must
// answer. last is where the connection ends with it.
func (a *API) answerPlain(out []byte, addr netip.Addr, rt route, p plain) (answer []byte, last bool) {
	w := tally{asked: askedPost}
	if p.method == http.MethodGet {
		w.asked = int(kindTopic)
	}
	start := time.Now()
	defer func() {
		if v := recover(); v != nil {
			a.panicked(w.asked, v)
			answer, last = w.problem(out, problemOf(nil), true), true
		}
		if answer != nil {
			a.meter.ended(&w, start)
		}
	}()
	if p.method == http.MethodGet {
		return a.plainID(&w, out, rt, p.tags), false
	}
	id, created, err := a.takePlain(addr, rt, p.body)
	if err != nil {
		return w.problem(out, a.refusal(w.asked, rt, err), false), false
	}
	w.status = statusOfPost(created)
	out = append(appendStatus(out, w.status), fieldsOfID...)
	out = append(out, "Content-Length: 41\r\nContent-Type: "+textUTF8+"\r\nLocation: "...)
	out = append(out, pathOfPost(rt, id)...)
	out = appendDate(append(out, "\r\n"...))
	return w.body(out, append([]byte(id.String()), '\n')), false
}

// atHand is a context that has ended: who asks with it gets what need not be waited
// for. Waiting is net/http's, which sees the client go meanwhile.
var atHand = func() context.Context {
	ctx, end := context.WithCancel(context.Background())
	end()
	return ctx
}()

// plainID answers with a topic's id, as topic and writeID do, nil where it is not at
// hand.
func (a *API) plainID(w *tally, out []byte, rt route, tags []string) []byte {
	c, err := a.held[rt.community].Folders.Topic(atHand, rt.topic)
	if err != nil {
		return nil
	}
	a.cfg.Wanted(rt.community, rt.topic)
	t := a.ids.of(c)
	if etagMatches(tags, t.etag) {
		w.status = http.StatusNotModified
		return w.body(appendDate(append(appendStatus(out, w.status), t.fields...)), nil)
	}
	w.status = http.StatusOK
	out = append(appendStatus(out, w.status), t.fields...)
	out = append(append(out, "Content-Length: "...), t.length[0]...)
	return w.body(appendDate(append(out, "\r\nContent-Type: "+textUTF8+"\r\n"...)), t.body)
}

// body ends the head and appends the body.
func (w *tally) body(out, body []byte) []byte {
	w.sent = int64(len(body))
	return append(append(out, "\r\n"...), body...)
}

// problem appends an answer that is the problem document.
func (w *tally) problem(out []byte, p *comntr.Problem, closes bool) []byte {
	body := encodeProblem(p)
	w.status, w.sent = p.Status, int64(len(body))
	return appendProblem(out, p, body, closes)
}

// takePlain admits and stores it, as post does.
func (a *API) takePlain(addr netip.Addr, rt route, body []byte) (id comntr.Hash, created bool, err error) {
	if err := a.mayPost(addr); err != nil {
		return id, false, err
	}
	if err := a.mayMove(addr); err != nil {
		return id, false, err
	}
	a.came(addr, len(body))
	return a.take(context.Background(), rt, body)
}

// underway counts the plain requests that are being answered, which net/http does
// not know of.
type underway struct {
	stopped <-chan struct{}
	n       atomic.Int64
	none    chan struct{} // holds something when n may have become 0 after stopped
}

func newUnderway(stopped <-chan struct{}) *underway {
	return &underway{stopped: stopped, none: make(chan struct{}, 1)}
}

// enter reports whether one may begin; then leave must follow.
func (u *underway) enter() bool {
	u.n.Add(1) // before it looks: wait must not miss it
	if u.ended() {
		u.leave()
		return false
	}
	return true
}

func (u *underway) leave() {
	if u.n.Add(-1) == 0 && u.ended() {
		select {
		case u.none <- struct{}{}:
		default:
		}
	}
}

func (u *underway) ended() bool {
	select {
	case <-u.stopped:
		return true
	default:
		return false
	}
}

// wait returns when none is under way, or with ctx's error. It comes after
// stopped.
func (u *underway) wait(ctx context.Context) error {
	for u.n.Load() > 0 {
		select {
		case <-u.none:
		case <-ctx.Done():
			return ctx.Err()
		}
	}
	return nil
}

package api

import (
	"bytes"
	"context"
	"net/netip"
	"strings"
	"sync/atomic"
	"time"

	"github.com/comntr/comntr"
)

// A plain post is a POST to a topic that one read had whole, head and body and
// nothing after them, and whose fields change nothing about how it is read. Where
// net/http had such a one last, those that follow on its connection are answered
// here, as net/http with this package's handler answers them but in a fifth less
// of the server's time; all else goes to net/http, byte for byte. TestPlain and its
// like and FuzzPlain hold the two to one another.

// plain is a plain post as it was sent.
type plain struct {
	target string
	body   []byte // of the buffer that was read into
}

// parsePlain reads one request. It knows less than net/http: of what is not ok
// it says nothing but that net/http must judge it.
func parsePlain(b []byte) (p plain, ok bool) {
	const method, version = "POST /", " HTTP/1.1"
	if !bytes.HasPrefix(b, []byte(method)) {
		return plain{}, false
	}
	end := bytes.Index(b, blankLine)
	if end < 0 {
		return plain{}, false
	}
	head, body := b[:end+len("\r\n")], b[end+len(blankLine):]
	line, head, _ := bytes.Cut(head, []byte("\r\n"))
	target, ok := bytes.CutSuffix(line[len("POST "):], []byte(version))
	if !ok {
		return plain{}, false
	}
	for _, c := range target {
		if c != '/' && (c < '0' || c > '9') && (c < 'a' || c > 'f') {
			return plain{}, false
		}
	}
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
		case "connection":
			if !bytes.EqualFold(value, []byte("keep-alive")) {
				return plain{}, false
			}
		default:
			return plain{}, false
		}
	}
	if hosts != 1 || lengths != 1 {
		return plain{}, false
	}
	return plain{string(target), body}, true
}

var blankLine = []byte("\r\n\r\n")

// specials are the fields by which net/http, or this package's handler, takes a
// post for something else.
var specials = [...]string{"host", "connection", "content-length", "content-encoding", "transfer-encoding", "expect", "upgrade", "trailer", "te", "proxy-connection", "http2-settings"}

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
			if s := special(b[:colon]); s != "" && s != "host" && s != "connection" {
				return false
			}
		}
		b = b[end+1:]
	}
	return true
}

// plainRoute is where a plain post goes, not ok where that is no topic here.
func (a *API) plainRoute(p plain) (rt route, ok bool) {
	if len(p.body) > a.cfg.MaxSize || a.page.file(p.target) != nil {
		return route{}, false
	}
	rt, err := parsePath(p.target, a.first, a.hosted)
	return rt, err == nil && rt.kind == kindTopic
}

// postPlain answers b if it is a plain post, and reports whether it was. It
// returns when the answer is written.
func (c *conn) postPlain(b []byte) bool {
	p, ok := parsePlain(b)
	if !ok {
		return false
	}
	rt, ok := c.api.plainRoute(p)
	if !ok || !c.api.posts.enter() {
		return false
	}
	defer c.api.posts.leave()
	if !c.state.CompareAndSwap(connOpen, connPosting) {
		return false
	}
	closes := true // so does a panic, which is net/http's to log
	defer func() {
		if !c.state.CompareAndSwap(connPosting, connOpen) || closes {
			c.close()
		}
	}()
	buf := heads.Get().(*[headBuffer]byte)
	defer heads.Put(buf)
	answer, last := c.api.answerPlain(buf[:0], c.addr, rt, p.body)
	c.extend()
	_, err := c.Conn.Write(answer)
	closes = last || err != nil
	return true
}

// answerPlain takes the post and appends the answer to out. last is where the
// connection ends with it.
func (a *API) answerPlain(out []byte, addr netip.Addr, rt route, body []byte) (answer []byte, last bool) {
	w := tally{asked: askedPost}
	start := time.Now()
	defer func() {
		if v := recover(); v != nil {
			a.panicked(w.asked, v)
			answer, last = w.problem(out, problemOf(nil), true), true
		}
		a.meter.ended(&w, start)
	}()
	id, created, err := a.takePlain(addr, rt, body)
	if err != nil {
		return w.problem(out, a.refusal(w.asked, rt, err), false), false
	}
	w.status = statusOfPost(created)
	out = append(appendStatus(out, w.status), fieldsOfID...)
	out = append(out, "Content-Length: 41\r\nContent-Type: "+textUTF8+"\r\nLocation: "...)
	out = append(out, pathOfPost(rt, id)...)
	out = appendDate(append(out, "\r\n"...))
	out = append(out, "\r\n"...)
	n := len(out)
	out = append(append(out, id.String()...), '\n')
	w.sent = int64(len(out) - n)
	return out, false
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

// underway counts the plain posts that are being answered, which net/http does
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

package discover

import (
	"context"
	endian "encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/comntr/comntr"
)

// waitRequest is what a refused request is told to wait, in seconds.
const waitRequest = 1

// maxCredit bounds what an asker lets us send ahead: what is beyond says nothing.
const maxCredit = 1 << 30

// rtcRequest is a request over a data channel and its answer, an
// http.ResponseWriter.
type rtcRequest struct {
	c      *rtcConn
	id     uint32
	head   comntr.FrameHead
	ctx    context.Context
	cancel context.CancelFunc
	more   chan struct{} // bytes of the body came
	credit chan struct{} // more may be sent

	mu       sync.Mutex
	left     int    // bytes of the body that are still to come
	body     []byte // those that came and were not read
	window   int    // bytes that may be sent
	readBy   time.Time
	writeBy  time.Time
	canceled bool // by the asker: nothing more is to be said

	// owned by the handler's goroutine
	header http.Header
	status int
	told   bool   // the answer's head was sent
	data   []byte // of the body, not yet sent
	mute   bool   // an answer that has no body
	broken error  // why no more can be sent
}

// request begins to answer a FrameRequest.
func (c *rtcConn) request(f comntr.Frame) error {
	c.mu.Lock()
	if c.begun && f.Request <= c.last {
		c.mu.Unlock()
		return errProtocol
	}
	c.begun, c.last = true, f.Request
	c.mu.Unlock()
	head, err := comntr.ParseFrameHead(comntr.FrameRequest, f.Payload)
	if err != nil {
		return err
	}
	q := &rtcRequest{
		c: c, id: f.Request, head: head,
		more: make(chan struct{}, 1), credit: make(chan struct{}, 1),
		left: head.Length, window: comntr.FrameWindow,
		header: http.Header{},
	}
	q.ctx, q.cancel = context.WithCancel(c.ctx)
	r, err := q.parse()
	if err != nil {
		return q.refuse(http.StatusBadRequest, comntr.CodeBadPath, "the path of the request cannot be read: "+err.Error())
	}

	c.r.mu.Lock()
	h, closing := c.r.handler, c.closing
	c.mu.Lock()
	full := len(c.requests) >= maxRequests || c.bodies+head.Length > maxBodies
	if !full && h != nil && !closing {
		c.requests[q.id] = q
		c.bodies += head.Length
		c.timer.Stop()
		c.r.requests.Add(1)
	}
	c.mu.Unlock()
	c.r.mu.Unlock()
	switch {
	case closing:
		q.cancel()
		return io.ErrClosedPipe
	case h == nil:
		return q.refuse(http.StatusServiceUnavailable, comntr.CodeStopping, "this server is stopping: ask another one")
	case full:
		return q.refuse(http.StatusServiceUnavailable, comntr.CodeBusy,
			fmt.Sprintf("this connection has as many requests as it may have at once, %d, or bodies of %d bytes in all: wait for an answer", maxRequests, maxBodies))
	}
	c.r.inFlight.Go(func() {
		defer c.r.requests.Done()
		q.handle(h, r)
		q.cancel()
		c.mu.Lock()
		defer c.mu.Unlock()
		delete(c.requests, q.id)
		c.bodies -= head.Length
		if len(c.requests) == 0 && c.ctx.Err() == nil {
			c.idleAt = time.Now()
			c.timer.Reset(c.r.bounds.idle)
		}
	})
	return nil
}

// parse makes the request as net/http would have it.
func (q *rtcRequest) parse() (*http.Request, error) {
	u, err := url.ParseRequestURI(q.head.Path)
	if err != nil {
		return nil, err
	}
	r := &http.Request{
		Method: q.head.Method, URL: u, RequestURI: q.head.Path,
		Proto: "HTTP/1.1", ProtoMajor: 1, ProtoMinor: 1,
		Header: http.Header{}, Host: q.head.Header["host"],
		ContentLength: int64(q.head.Length), Body: http.NoBody,
		RemoteAddr: q.c.remote.String(),
	}
	for k, v := range q.head.Header {
		switch k {
		case "host", "content-length", "transfer-encoding", "connection":
		default:
			r.Header.Set(k, v)
		}
	}
	if q.head.Length > 0 {
		r.Body = rtcBody{q}
	}
	return r.WithContext(q.ctx), nil
}

// refuse answers without a handler, in the reader's own goroutine: so a flood
// of what is refused waits for itself.
func (q *rtcRequest) refuse(status int, code, detail string) error {
	defer q.cancel()
	p := comntr.Problem{Type: "about:blank", Title: http.StatusText(status), Status: status, Code: code, Detail: detail}
	if status == http.StatusServiceUnavailable {
		p.RetryAfter = waitRequest
		q.header.Set("Retry-After", strconv.Itoa(waitRequest))
	}
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	q.header.Set("Content-Type", "application/problem+json")
	q.header.Set("Cache-Control", "no-store")
	q.WriteHeader(status)
	q.Write(b)
	return q.flush(true)
}

// handle runs the handler and ends the answer.
func (q *rtcRequest) handle(h http.Handler, r *http.Request) {
	defer func() {
		v := recover()
		if v != nil && v != http.ErrAbortHandler {
			q.c.r.log.Error("a handler panicked", "err", fmt.Sprintf("%v\n%s", v, debug.Stack()))
		}
		if v == nil {
			q.WriteHeader(http.StatusOK)
			if !q.told && q.header.Get("Content-Length") == "" && !q.mute {
				q.header.Set("Content-Length", strconv.Itoa(len(q.data)))
			}
			if q.flush(true) == nil {
				return
			}
		}
		q.mu.Lock()
		canceled := q.canceled
		q.mu.Unlock()
		if !canceled {
			q.c.send(comntr.Frame{Type: comntr.FrameCancel, Request: q.id}.Append(nil, q.c.number), time.Time{})
		}
	}()
	h.ServeHTTP(q, r)
}

// arrived takes bytes of the body.
func (q *rtcRequest) arrived(b []byte) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	if len(b) > q.left {
		return errProtocol
	}
	q.left -= len(b)
	q.body = append(q.body, b...)
	signal(q.more)
	return nil
}

// credited takes the asker's word that he can take more.
func (q *rtcRequest) credited(b []byte) error {
	n := int(endian.BigEndian.Uint32(b))
	q.mu.Lock()
	defer q.mu.Unlock()
	q.window = min(q.window+n, maxCredit)
	signal(q.credit)
	return nil
}

// gaveUp is the asker's cancel.
func (q *rtcRequest) gaveUp() {
	q.mu.Lock()
	q.canceled = true
	q.mu.Unlock()
	q.cancel()
}

// rtcBody is a request's body.
type rtcBody struct{ q *rtcRequest }

func (b rtcBody) Close() error { return nil }

func (b rtcBody) Read(p []byte) (int, error) {
	q := b.q
	for {
		q.mu.Lock()
		n := copy(p, q.body)
		q.body = q.body[n:]
		left, by := q.left, q.readBy
		q.mu.Unlock()
		switch {
		case n > 0 || len(p) == 0:
			return n, nil
		case left == 0:
			return 0, io.EOF
		}
		if err := q.wait(q.more, by); err != nil {
			return 0, err
		}
	}
}

// wait waits for a signal on c, until the deadline, if there is one.
func (q *rtcRequest) wait(c chan struct{}, by time.Time) error {
	var late <-chan time.Time
	if !by.IsZero() {
		t := time.NewTimer(time.Until(by))
		defer t.Stop()
		late = t.C
	}
	select {
	case <-c:
		return nil
	case <-late:
		return os.ErrDeadlineExceeded
	case <-q.ctx.Done():
		return io.ErrClosedPipe
	}
}

func (q *rtcRequest) Header() http.Header { return q.header }

func (q *rtcRequest) WriteHeader(status int) {
	if q.status != 0 || status < 200 {
		return
	}
	q.status = status
	q.mute = q.head.Method == http.MethodHead || status == http.StatusNoContent || status == http.StatusNotModified
}

func (q *rtcRequest) Write(b []byte) (int, error) {
	q.WriteHeader(http.StatusOK)
	if q.mute {
		return len(b), nil
	}
	written := 0
	for len(b) > 0 {
		n := min(len(b), comntr.MaxFrameData-len(q.data))
		q.data = append(q.data, b[:n]...)
		b, written = b[n:], written+n
		if len(q.data) == comntr.MaxFrameData {
			if err := q.flush(false); err != nil {
				return written, err
			}
		}
	}
	return written, nil
}

// FlushError sends what was written (http.ResponseController).
func (q *rtcRequest) FlushError() error {
	q.WriteHeader(http.StatusOK)
	return q.flush(false)
}

// SetReadDeadline is of the reads that follow (http.ResponseController).
func (q *rtcRequest) SetReadDeadline(t time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.readBy = t
	return nil
}

// SetWriteDeadline is of the writes that follow (http.ResponseController).
func (q *rtcRequest) SetWriteDeadline(t time.Time) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.writeBy = t
	return nil
}

// flush sends what there is: the head if it was not, data, and the end. It
// waits for the asker's credit. After an error the answer is cut, as net/http
// would cut the connection.
func (q *rtcRequest) flush(end bool) error {
	if q.broken == nil {
		q.broken = q.push(end)
	}
	return q.broken
}

func (q *rtcRequest) push(end bool) error {
	for {
		var b []byte
		if !q.told {
			head, err := q.answerHead()
			if err != nil {
				return err
			}
			b = comntr.Frame{Type: comntr.FrameAnswer, Request: q.id, Payload: head}.Append(b, q.c.number)
		}
		q.mu.Lock()
		n := min(len(q.data), q.window)
		q.window -= n
		by := q.writeBy
		q.mu.Unlock()
		if q.ctx.Err() != nil {
			return io.ErrClosedPipe
		}
		if n > 0 {
			b = comntr.Frame{Type: comntr.FrameData, Request: q.id, Payload: q.data[:n]}.Append(b, q.c.number)
		}
		last := n == len(q.data)
		if last && end {
			b = comntr.Frame{Type: comntr.FrameEnd, Request: q.id}.Append(b, q.c.number)
		}
		if len(b) > 0 {
			if err := q.c.send(b, by); err != nil {
				return err
			}
			q.told = true
			q.data = q.data[:copy(q.data, q.data[n:])]
		}
		if last {
			return nil
		}
		if by.IsZero() {
			by = time.Now().Add(q.c.r.bounds.stall)
		}
		if err := q.wait(q.credit, by); err != nil {
			return err
		}
	}
}

// answerHead encodes status and header fields.
func (q *rtcRequest) answerHead() ([]byte, error) {
	h := comntr.FrameHead{Status: q.status, Header: map[string]string{}}
	for k, v := range q.header {
		if k = strings.ToLower(k); k != "connection" && k != "transfer-encoding" {
			h.Header[k] = strings.Join(v, ", ")
		}
	}
	b := h.Append(nil)
	if len(b) > comntr.MaxFrameHeaders || len(h.Header) > comntr.MaxFrameFields {
		return nil, errors.New("the answer's header is too large for a frame")
	}
	return b, nil
}

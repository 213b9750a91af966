package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// answerTime is how long an answer may take. The id of a folder of a million
// new comments is the longest.
const answerTime = 5 * time.Minute

// conn is a connection that asks one thing after another. It makes no garbage.
type conn struct {
	net.Conn
	buf []byte
	// request is what is sent. It is prebuilt: only its digits change.
	request []byte
	// Of the last answer; they hold until the next.
	status     int
	head, body []byte

	client *http.Client // that asks instead, if there is one; then only the status is kept
}

func dial(origin string) (*conn, error) {
	c, err := net.Dial("tcp", strings.TrimPrefix(origin, "http://"))
	if err != nil {
		return nil, err
	}
	return &conn{Conn: c, buf: make([]byte, 16<<10)}, nil
}

// askByClient asks what the request says, as a program does that uses net/http:
// it makes a request of Go's, and reads the answer that comes.
func (c *conn) askByClient() error {
	head, body, _ := bytes.Cut(c.request, headEnd)
	line, _, _ := bytes.Cut(head, []byte("\r\n"))
	words := strings.Fields(string(line))
	r, err := http.NewRequest(words[0], "http://"+c.RemoteAddr().String()+words[1], bytes.NewReader(body))
	if err != nil {
		return err
	}
	for _, name := range [][]byte{typeName, acceptName, tagName} {
		if v, ok := header(c.request, name); ok {
			r.Header.Set(string(name[2:len(name)-2]), string(v))
		}
	}
	w, err := c.client.Do(r)
	if err != nil {
		return err
	}
	defer w.Body.Close()
	c.status = w.StatusCode
	_, err = io.Copy(io.Discard, w.Body)
	return err
}

// ask sends the request and reads a small answer to its end.
func (c *conn) ask() error {
	if c.client != nil {
		return c.askByClient()
	}
	if _, err := c.Write(c.request); err != nil {
		return err
	}
	n, head := 0, -1
	for head < 0 {
		m, err := c.Read(c.buf[n:])
		if err != nil {
			return err
		}
		n += m
		head = bytes.Index(c.buf[:n], headEnd)
		if head < 0 && n == len(c.buf) {
			return errors.New("the answer's header is too long")
		}
	}
	c.head = c.buf[:head+len(headEnd)]
	if len(c.head) < len("HTTP/1.1 200") {
		return fmt.Errorf("no HTTP: %q", c.head)
	}
	c.status = int(c.head[9]-'0')*100 + int(c.head[10]-'0')*10 + int(c.head[11]-'0')
	end := len(c.head)
	if c.status != 304 {
		length, ok := header(c.head, lengthName)
		if !ok {
			return fmt.Errorf("an answer without its length: %q", c.head)
		}
		end += digits(length)
	}
	if end > len(c.buf) {
		return fmt.Errorf("an answer of %d bytes is more than was thought of", end)
	}
	for n < end {
		m, err := c.Read(c.buf[n:])
		if err != nil {
			return err
		}
		n += m
	}
	c.body = c.buf[len(c.head):end]
	return nil
}

var (
	headEnd    = []byte("\r\n\r\n")
	lengthName = []byte("\r\nContent-Length: ")
	etagName   = []byte("\r\nEtag: ")
	typeName   = []byte("\r\nContent-Type: ")
	acceptName = []byte("\r\nAccept: ")
	tagName    = []byte("\r\nIf-None-Match: ")
)

// header is the value of a header, whose name stands between a line's end and
// ": " as Go writes it.
func header(head, name []byte) ([]byte, bool) {
	i := bytes.Index(head, name)
	if i < 0 {
		return nil, false
	}
	v := head[i+len(name):]
	if i = bytes.IndexByte(v, '\r'); i < 0 {
		return nil, false
	}
	return v[:i], true
}

func digits(b []byte) int {
	n := 0
	for _, c := range b {
		n = n*10 + int(c-'0')
	}
	return n
}

// want is an answer's status, or its error.
func (c *conn) want(status int) error {
	if c.status != status {
		return fmt.Errorf("HTTP %d where %d was to come: %s%s", c.status, status, c.head, c.body)
	}
	return nil
}

// kind is what a load asks for.
type kind struct {
	status   int
	request  func(c *conn) // builds a connection's request
	next     func(c *conn, n uint64)
	byClient bool         // asked by net/http's client: see load.useClient
	renew    func() error // makes a measurement of comntr begin as the first did; may be nil
}

// asked is the kind, asked by net/http's client.
func (k kind) asked() kind {
	k.byClient = true
	return k
}

// load asks one server over so many connections.
type load struct {
	conns []*conn
	kind  kind
}

func newLoad(origin string, clients int, k kind) (*load, error) {
	l := &load{kind: k}
	for range clients {
		c, err := dial(origin)
		if err != nil {
			l.close()
			return nil, err
		}
		k.request(c)
		l.conns = append(l.conns, c)
	}
	return l, nil
}

// useClient has the load asked by net/http's client, with two threads and all the
// garbage that it makes.
func (l *load) useClient() (end func()) {
	t := &http.Transport{MaxIdleConnsPerHost: len(l.conns), DisableCompression: true}
	client := &http.Client{Transport: t, Timeout: answerTime}
	for _, c := range l.conns {
		c.client = client
	}
	before := runtime.GOMAXPROCS(0)
	runtime.GOMAXPROCS(runtime.NumCPU())
	return func() {
		runtime.GOMAXPROCS(before)
		t.CloseIdleConnections()
	}
}

func (l *load) close() {
	for _, c := range l.conns {
		c.Close()
	}
}

// end has all reads and writes fail once ctx is over, or d and an answer's time.
func (l *load) end(ctx context.Context, d time.Duration) (stop func() bool) {
	late := time.Now().Add(d + answerTime)
	for _, c := range l.conns {
		c.SetDeadline(late)
	}
	return context.AfterFunc(ctx, func() {
		for _, c := range l.conns {
			c.SetDeadline(time.Unix(1, 0))
		}
	})
}

// closed has each client ask again as soon as it is answered, for d or until
// most were asked, and returns how many a second were answered.
func (l *load) closed(ctx context.Context, d time.Duration, most uint64) (perSecond float64, err error) {
	defer l.end(ctx, d)()
	var over atomic.Bool
	timer := time.AfterFunc(d, func() { over.Store(true) })
	defer timer.Stop()
	var begun, done atomic.Uint64
	start := time.Now()
	err = l.each(func(_ int, c *conn) error {
		var n uint64
		defer func() { done.Add(n) }()
		for !over.Load() {
			i := begun.Add(1) - 1
			if i >= most {
				return nil
			}
			l.kind.next(c, i)
			if err := c.ask(); err != nil {
				over.Store(true)
				return err
			}
			if err := c.want(l.kind.status); err != nil {
				over.Store(true)
				return err
			}
			n++
		}
		return nil
	})
	return float64(done.Load()) / time.Since(start).Seconds(), err
}

// open asks at a fixed pace, whatever the answers take. Each time runs from when
// the request was due: what waits because an answer before it was late counts
// that wait, which is what a reader would see.
func (l *load) open(ctx context.Context, d time.Duration, perSecond float64) ([]time.Duration, error) {
	defer l.end(ctx, d)()
	total := int(d.Seconds() * perSecond)
	gap := time.Duration(float64(time.Second) / perSecond)
	times := make([]time.Duration, total)
	start := time.Now().Add(10 * time.Millisecond)
	err := l.each(func(client int, c *conn) error {
		for i := client; i < total; i += len(l.conns) {
			due := start.Add(time.Duration(i) * gap)
			time.Sleep(time.Until(due))
			l.kind.next(c, uint64(i))
			if err := c.ask(); err != nil {
				return err
			}
			times[i] = time.Since(due)
			if err := c.want(l.kind.status); err != nil {
				return err
			}
		}
		return nil
	})
	return times, err
}

// each runs fn for each connection in a goroutine of its own.
func (l *load) each(fn func(i int, c *conn) error) error {
	errs := make([]error, len(l.conns))
	var wg sync.WaitGroup
	for i, c := range l.conns {
		wg.Go(func() { errs[i] = fn(i, c) })
	}
	wg.Wait()
	for _, err := range errs {
		if err != nil {
			return err // one says enough
		}
	}
	return nil
}

// textLength is the bytes of a comment, as in the 2019 servers' benchmarks.
const textLength = 200

// topicHash is one topic's 40 digits.
type topicHash [40]byte

// posts are posts of comments that were never posted before: to the topic that
// choose gives for the nth.
func (b *bench) newPosts(topics []topicHash, choose func(n uint64) int) kind {
	const before, digits = "comment 000000000000 of ", 12
	var at, number int
	return kind{
		status: 201,
		request: func(c *conn) {
			prefix := "POST /" + communityHex + "/"
			at = len(prefix)
			head := prefix + string(topics[0][:]) + " HTTP/1.1\r\nHost: " + c.RemoteAddr().String() + "\r\nContent-Type: text/plain\r\nContent-Length: " + strconv.Itoa(textLength) + "\r\n\r\n"
			number = len(head) + len("comment ")
			text := before + b.run + ": "
			c.request = []byte(head + text + strings.Repeat("x", textLength-len(text)))
		},
		next: func(c *conn, n uint64) {
			copy(c.request[at:], topics[choose(n)][:])
			v := atomic.AddUint64(&b.posts, 1)
			for i := digits - 1; i >= 0; i-- {
				c.request[number+i] = byte('0' + v%10)
				v /= 10
			}
		},
	}
}

// gets are readers who come to a topic.
func gets(topics []topicHash) kind {
	var at int
	return kind{
		status: 200,
		request: func(c *conn) {
			prefix := "GET /" + communityHex + "/"
			at = len(prefix)
			c.request = []byte(prefix + string(topics[0][:]) + " HTTP/1.1\r\nHost: " + c.RemoteAddr().String() + "\r\nAccept: text/plain\r\n\r\n")
		},
		next: func(c *conn, n uint64) { copy(c.request[at:], topics[n%uint64(len(topics))][:]) },
	}
}

// getsAgain are readers who have what there is: tags are what each topic
// answered before.
func getsAgain(topics []topicHash, tags []string) kind {
	var at, tag int
	return kind{
		status: 304,
		request: func(c *conn) {
			prefix := "GET /" + communityHex + "/"
			at = len(prefix)
			before := prefix + string(topics[0][:]) + " HTTP/1.1\r\nHost: " + c.RemoteAddr().String() + "\r\nAccept: text/plain\r\nIf-None-Match: "
			tag = len(before)
			c.request = []byte(before + tags[0] + "\r\n\r\n")
		},
		next: func(c *conn, n uint64) {
			i := n % uint64(len(topics))
			copy(c.request[at:], topics[i][:])
			copy(c.request[tag:], tags[i])
		},
	}
}

package api

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"net/url"
	"strconv"
	"strings"
	"time"

	"github.com/quic-go/webtransport-go"

	"github.com/comntr/comntr"
)

// exchangeBuffer is what is gathered of an answer before it is sent: its head
// and a short body go out at once.
const exchangeBuffer = 4 << 10

// stream is what an exchange needs of one; *webtransport.Stream is one.
type stream interface {
	io.ReadWriteCloser
	SetReadDeadline(time.Time) error
	SetWriteDeadline(time.Time) error
	CancelRead(webtransport.StreamErrorCode)
	CancelWrite(webtransport.StreamErrorCode)
}

// exchange is a request in a stream and its answer, an http.ResponseWriter. In
// either direction the stream holds two bytes, the length of a head; the head,
// in JSON; and the body, up to the stream's end.
type exchange struct {
	stream stream
	out    *bufio.Writer // its errors last, so that a cut answer never ends well
	header http.Header
	status int
	told   bool  // the head was written
	mute   bool  // the answer has no body
	length int64 // of the body as the header says, -1 where it does not
	sent   int64 // bytes of the body
}

// requestHead and answerHead are the heads. Names of header fields are in lower
// case; several values of one are joined by a comma and a space, as Fetch does.
type requestHead struct {
	Method  string            `json:"method"`
	Path    string            `json:"path"` // with the query
	Headers map[string]string `json:"headers"`
}

type answerHead struct {
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers"`
}

func newExchange(s stream) *exchange {
	return &exchange{stream: s, out: bufio.NewWriterSize(s, exchangeBuffer), header: http.Header{}, length: -1}
}

// readRequest reads the head. A head that was read and says nothing good is a
// refusal; an error is of the stream.
func (x *exchange) readRequest() (*http.Request, *comntr.Problem, error) {
	r := &http.Request{Method: http.MethodGet, Header: http.Header{}, Proto: "HTTP/3.0", ProtoMajor: 3, Body: http.NoBody}
	var length [2]byte
	if _, err := io.ReadFull(x.stream, length[:]); err != nil {
		return nil, nil, err
	}
	n := binary.BigEndian.Uint16(length[:])
	if n > maxHeaderBytes {
		return r, problem(http.StatusRequestHeaderFieldsTooLarge, comntr.CodeBadRequest, "the request's head has %d bytes: at most %d are taken", n, maxHeaderBytes), nil
	}
	b := make([]byte, n)
	if _, err := io.ReadFull(x.stream, b); err != nil {
		return nil, nil, err
	}
	if err := parseHead(r, b); err != nil {
		return r, problem(http.StatusBadRequest, comntr.CodeBadRequest, "the request's head cannot be read: %v", err), nil
	}
	switch r.Method {
	case http.MethodGet, http.MethodHead, http.MethodOptions:
	default:
		r.ContentLength, r.Body = -1, wtBody{x.stream}
	}
	x.mute = r.Method == http.MethodHead
	return r, nil, nil
}

// parseHead makes r what net/http would have made of such a request.
func parseHead(r *http.Request, b []byte) error {
	var head requestHead
	if err := json.Unmarshal(b, &head); err != nil {
		return err
	}
	if !token(head.Method) {
		return errors.New("its method is no word")
	}
	if !strings.HasPrefix(head.Path, "/") || strings.ContainsFunc(head.Path, func(r rune) bool { return r <= ' ' || r > '~' }) {
		return errors.New("its path is not a slash and visible ASCII")
	}
	u, err := url.ParseRequestURI(head.Path)
	if err != nil {
		return errors.New("its path is malformed")
	}
	for name, value := range head.Headers {
		if !token(name) || name != strings.ToLower(name) {
			return errors.New("the name of a header field is not a word in lower case")
		}
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' && r != '\t' || r == 0x7f }) {
			return errors.New("a header field has a control character")
		}
		if !ofConnection(name) && name != "content-length" { // the stream's end says that
			r.Header.Set(name, value)
		}
	}
	r.Method, r.URL, r.RequestURI = head.Method, u, head.Path
	return nil
}

// ofConnection tells whether a header field speaks of a connection of HTTP/1.1
// or of what the session and the stream say.
func ofConnection(name string) bool {
	switch name {
	case "connection", "host", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade":
		return true
	}
	return false
}

// wtBody is a request's body: what follows its head in the stream.
type wtBody struct{ stream }

func (wtBody) Close() error { return nil } // end stops the reading

// serve answers by the handler.
func (x *exchange) serve(h http.Handler, r *http.Request) {
	whole := false
	defer func() {
		// The API logs and answers what goes wrong in it: here comes only
		// http.ErrAbortHandler.
		recover()
		if !whole {
			x.abort()
		}
	}()
	h.ServeHTTP(x, r)
	whole = true
	x.end()
}

// end ends the answer, which is whole if all of it could be written.
func (x *exchange) end() {
	x.WriteHeader(http.StatusOK)
	x.head()
	if x.out.Flush() != nil || !x.mute && x.length >= 0 && x.length != x.sent {
		x.abort()
		return
	}
	x.stream.Close()
	x.stream.CancelRead(0) // of a body that nobody read
}

// abort lets the client see that this is not the whole answer.
func (x *exchange) abort() {
	x.stream.CancelWrite(0)
	x.stream.CancelRead(0)
}

func (x *exchange) Header() http.Header { return x.header }

func (x *exchange) WriteHeader(status int) {
	if x.status != 0 || status < 200 {
		return
	}
	x.status = status
	x.mute = x.mute || status == http.StatusNoContent || status == http.StatusNotModified
	if n, err := strconv.ParseInt(x.header.Get("Content-Length"), 10, 64); err == nil {
		x.length = n
	}
}

// head writes the answer's head, once.
func (x *exchange) head() error {
	if x.told {
		return nil
	}
	x.told = true
	h := answerHead{Status: x.status, Headers: make(map[string]string, len(x.header))}
	for name, values := range x.header {
		if name = strings.ToLower(name); !ofConnection(name) {
			h.Headers[name] = strings.Join(values, ", ")
		}
	}
	b, err := json.Marshal(h)
	if err != nil {
		return err
	}
	var length [2]byte
	binary.BigEndian.PutUint16(length[:], uint16(len(b)))
	x.out.Write(length[:])
	_, err = x.out.Write(b)
	return err
}

func (x *exchange) Write(b []byte) (int, error) {
	x.WriteHeader(http.StatusOK)
	if err := x.head(); err != nil {
		return 0, err
	}
	if x.mute {
		return len(b), nil
	}
	n, err := x.out.Write(b)
	x.sent += int64(n)
	return n, err
}

// FlushError sends what was written (http.ResponseController).
func (x *exchange) FlushError() error {
	x.WriteHeader(http.StatusOK)
	if err := x.head(); err != nil {
		return err
	}
	return x.out.Flush()
}

// SetReadDeadline is of the reads that follow (http.ResponseController).
func (x *exchange) SetReadDeadline(t time.Time) error { return x.stream.SetReadDeadline(t) }

// SetWriteDeadline is of the writes that follow (http.ResponseController).
func (x *exchange) SetWriteDeadline(t time.Time) error { return x.stream.SetWriteDeadline(t) }

package api

import (
	"context"
	"crypto/ed25519"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"net/netip"
	"runtime/debug"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

// Bounds in time. A request with a body must have sent it within bodyTime and
// without stalling for bodyStall; an answer that is not a stream must have been
// taken within answerTime.
const (
	bodyTime   = 30 * time.Second
	bodyStall  = 10 * time.Second
	answerTime = 30 * time.Second
)

// Store is what a community's comments are kept in; *store.Store is one.
type Store interface {
	// Add keeps the document: durable and in the topic's folder when it
	// returns. from is "" for what a reader posted.
	Add(ctx context.Context, doc *comntr.Document, from string) (created bool, err error)
	Read(topic, comment comntr.Hash) ([]byte, error)
	// Has tells whether the comment is held, or else whether it is settled that
	// it is not: removed by its author, or denied.
	Has(topic, comment comntr.Hash) (held, settled bool)
	Events
	Topics
}

// Events tells what was added to a community.
type Events interface {
	Epoch() uint64
	Seq() uint64
	// Events reports what came after since, at most max at once; not ok where
	// that is too far back.
	Events(since uint64, max int, fn func(seq uint64, topic, comment comntr.Hash)) (next uint64, ok bool)
	// Changed is closed when there is more.
	Changed() <-chan struct{}
}

// Folders are a community's folders as IPFS blocks; *ipfs.Folders is one.
type Folders interface {
	Root(ctx context.Context) (cid.Cid, error)
	// Topic returns an id that is at hand though ctx has ended, and no other.
	Topic(ctx context.Context, topic comntr.Hash) (cid.Cid, error)
	Block(c cid.Cid) ([]byte, error)
	IsTopicFolder(c cid.Cid) bool
	// WriteCAR writes a topic's whole folder, compressed or not. size is of
	// what was read or written for it.
	WriteCAR(ctx context.Context, w io.Writer, root cid.Cid, zip bool) (size int64, err error)
}

// Community is one that the server holds.
type Community struct {
	ID comntr.Hash
	// Name in clear, for the page; may be empty.
	Name    string
	Store   Store
	Folders Folders
}

// Config says what an API serves and how much of it.
type Config struct {
	// Communities that the server holds, at least one. Paths that name none
	// mean the first.
	Communities []Community
	// Hello is what the server says of itself now.
	Hello func() comntr.Hello
	Key   ed25519.PrivateKey
	// PublicURL is the origin that the operator says the server has; may be "".
	PublicURL string
	// PublicAddrs are the addresses that others see the server at, learned
	// from them; may be nil. Port is the announced port there.
	PublicAddrs func() []netip.Addr
	Port        uint16
	// WebTransportPort is the one at which WebTransport is reached there.
	WebTransportPort uint16
	// MaxSize in bytes is admission's own limit on a document, at most
	// comntr.MaxDocument, which 0 stands for.
	MaxSize int
	// Rate is posts a second and address; 0 lifts all limits for one address.
	Rate float64
	// MinWork is the work, in bits, that every post must carry, at most
	// MaxMinWork. With a Rate, posts of unknown keys need more when they come
	// fast.
	MinWork int
	// Gateway is whether /ipfs and /blocks are served.
	Gateway bool
	// Page is the web client that browsers get at /, with index.html at its
	// root; may be nil.
	Page fs.FS
	// Wanted, if given, is called when a reader asks for a topic, here or not.
	// It must not block.
	Wanted func(community, topic comntr.Hash)
	// Tracker answers WebSockets at /announce; nil: there is none. It has its
	// own bounds, and whoever made it ends the sockets, which Stop does not.
	Tracker http.Handler
	Log     *slog.Logger
}

// API answers requests over HTTP. It starts no goroutine. It is safe for
// concurrent use.
type API struct {
	cfg       Config
	first     comntr.Hash
	held      map[comntr.Hash]*Community
	publicURL string // canonical
	limits    *limiter
	toll      *toll
	damagedAt atomic.Int64 // when a damaged file was last logged, in Unix seconds
	listeners *gauge       // of /events
	cars      *gauge
	conns     *gauge // of Listener
	sessions  *gauge // of WebTransport
	plains    *underway
	meter     *meter
	gzips     sync.Pool // of *gzip.Writer
	activeMu  sync.Mutex
	actives   map[comntr.Hash]activeList // by community
	page      page
	ids       idTexts
	stopped   chan struct{}
	stop      func()
}

// New returns the API of cfg. It panics where cfg has no community or a page
// that cannot be served, which is this program's own.
func New(cfg Config) *API {
	if cfg.MaxSize <= 0 || cfg.MaxSize > comntr.MaxDocument {
		cfg.MaxSize = comntr.MaxDocument
	}
	files, err := newPage(cfg.Page, cfg.Communities[0])
	if err != nil {
		panic(err)
	}
	if cfg.Wanted == nil {
		cfg.Wanted = func(community, topic comntr.Hash) {}
	}
	a := &API{
		cfg:       cfg,
		first:     cfg.Communities[0].ID,
		held:      make(map[comntr.Hash]*Community, len(cfg.Communities)),
		limits:    newLimiter(cfg.Rate),
		toll:      newToll(cfg.MinWork, cfg.Rate),
		listeners: newGauge(maxListeners, perAddress(cfg.Rate, maxListenersAddr)),
		cars:      newGauge(maxCARs, perAddress(cfg.Rate, maxCARsAddr)),
		conns:     newGauge(maxConns, perAddress(cfg.Rate, maxConnsAddr)),
		sessions:  newGauge(maxSessions, perAddress(cfg.Rate, maxSessionsAddr)),
		meter:     newMeter(),
		page:      files,
		actives:   make(map[comntr.Hash]activeList),
		stopped:   make(chan struct{}),
	}
	a.plains = newUnderway(a.stopped)
	a.stop = sync.OnceFunc(func() { close(a.stopped) })
	for i := range cfg.Communities {
		c := &cfg.Communities[i]
		a.held[c.ID] = c
	}
	if cfg.PublicURL != "" {
		origin, err := comntr.CanonicalOrigin(cfg.PublicURL)
		if err != nil {
			cfg.Log.Warn("the public URL is no origin and counts for nothing", "err", err)
		}
		a.publicURL = origin
	}
	return a
}

// perAddress is a limit on one address, lifted by a rate of 0.
func perAddress(rate float64, limit int) int {
	if rate <= 0 {
		return 0
	}
	return limit
}

// Stop ends the streams of events and lets every new request be answered with
// 503. Requests under way go on.
func (a *API) Stop() { a.stop() }

func (a *API) hosted(community comntr.Hash) bool { return a.held[community] != nil }

// Handler returns the API as a handler.
func (a *API) Handler() http.Handler { return http.HandlerFunc(a.serve) }

// field is a header field that many answers have.
type field struct {
	name  string
	value []string
}

// always are the header fields of every answer: any page may read it (Fetch,
// CORS), and no browser may take it for something to run.
var always = []field{
	{"Access-Control-Allow-Origin", []string{"*"}},
	{"Access-Control-Expose-Headers", []string{"Content-Length, Content-Location, ETag, Location, Retry-After"}},
	{"X-Content-Type-Options", []string{"nosniff"}},
}

// confining are those of every answer but an id, which are for a browser that
// shows it as a document. An id is this server's own word, and what it says most.
var confining = []field{
	{"Content-Security-Policy", []string{"sandbox"}},
	{"Cross-Origin-Resource-Policy", []string{"cross-origin"}},
	{"Referrer-Policy", []string{"no-referrer"}},
}

// Both as they are written. Over HTTP the connection puts them in (see
// conn.Write): in a map they cost a small answer a tenth of its time.
var (
	fieldsOfID  = fieldLines(always)
	fieldsOfAll = append(fieldLines(always), fieldLines(confining)...)
)

func fieldLines(fields []field) (b []byte) {
	for _, f := range fields {
		b = fmt.Appendf(b, "%s: %s\r\n", f.name, f.value[0])
	}
	return b
}

func (a *API) serve(rw http.ResponseWriter, r *http.Request) {
	w := &answer{ResponseWriter: rw, tally: tally{asked: askedUnknown}}
	start := time.Now()
	defer a.meter.ended(&w.tally, start)
	defer a.recovered(w, r)
	if w.conn = answering(r); w.conn == nil {
		w.always()
	}
	if r.ContentLength != 0 {
		// What a handler leaves of a body, net/http reads.
		w.readBy(start.Add(bodyStall))
	}
	select {
	case <-a.stopped:
		w.Header().Set("Connection", "close")
		a.meter.refused(w.asked, comntr.CodeStopping)
		writeProblem(w, r, stoppingProblem())
		return
	default:
	}
	var rt route
	var err error
	path := r.URL.Path
	if path != r.RequestURI { // it was not sent as it is here
		path = r.URL.EscapedPath()
	}
	if a.page.file(path) != nil {
		rt = route{kind: kindPage, file: path}
	} else {
		rt, err = parsePath(path, a.first, a.hosted)
	}
	if err == nil {
		w.asked = int(rt.kind)
		if rt.kind == kindTopic && r.Method == http.MethodPost {
			w.asked = askedPost
		}
		err = a.route(w, r, rt)
	}
	if err != nil {
		a.fail(w, r, rt, err)
	}
}

// route calls what answers the request.
func (a *API) route(w *answer, r *http.Request, rt route) error {
	read := r.Method == http.MethodGet || r.Method == http.MethodHead
	switch {
	case r.Method == http.MethodOptions:
		return preflight(w, rt)
	case (rt.kind == kindIPFS || rt.kind == kindBlocks) && !a.cfg.Gateway:
		return problem(http.StatusNotFound, comntr.CodeNotFound, "this server's operator has turned its gateway off: /ipfs and /blocks are not served; read /<community>/<topic>, or ask another server")
	case rt.kind == kindAnnounce && a.cfg.Tracker == nil:
		return problem(http.StatusNotFound, comntr.CodeNotFound, "this server is no WebTorrent tracker: use another server's, or another tracker")
	case rt.kind == kindTopic && r.Method == http.MethodPost:
		return a.post(w, r, rt)
	case rt.kind == kindBlocks && r.Method == http.MethodPost:
		return a.blocks(w, r)
	case rt.kind == kindCounts && r.Method == http.MethodPost:
		return a.counts(w, r, rt)
	case rt.kind == kindComment && r.Method == http.MethodPost && strings.Count(r.URL.EscapedPath(), "/") == 2:
		return notHosted(rt.topic) // nobody posts to a comment: what was meant is another community's topic
	case rt.kind == kindBlocks || rt.kind == kindCounts || !read:
		return wrongMethod(w, r, rt)
	}
	switch rt.kind {
	case kindRoot, kindFolder:
		return a.root(w, r, rt)
	case kindTopic:
		return a.topic(w, r, rt)
	case kindComment:
		return a.comment(w, r, rt)
	case kindEvents:
		return a.events(w, r, rt)
	case kindTopics:
		return a.active(w, r, rt)
	case kindIPFS:
		return a.ipfs(w, r, rt)
	case kindPage:
		return a.page.file(rt.file).answer(w, r)
	case kindAnnounce:
		return a.announce(w, r)
	default:
		return a.hello(w, r)
	}
}

// preflight answers OPTIONS: any page may read and post (Fetch, CORS).
func preflight(w *answer, rt route) error {
	h := w.Header()
	h.Set("Allow", rt.allow())
	h.Set("Access-Control-Allow-Methods", rt.allow())
	h.Set("Access-Control-Allow-Headers", "Accept, Cache-Control, Content-Type, If-None-Match, Last-Event-ID")
	h.Set("Access-Control-Max-Age", "86400")
	w.WriteHeader(http.StatusNoContent)
	return nil
}

func wrongMethod(w *answer, r *http.Request, rt route) error {
	w.Header().Set("Allow", rt.allow())
	advice := ""
	if r.Method == http.MethodPost && rt.kind <= kindComment {
		advice = "; comments are posted to their topic, /<community>/<topic>"
	}
	return problem(http.StatusMethodNotAllowed, comntr.CodeMethod, "the method %s does not apply to %s, which takes %s%s", clip(r.Method, 40), rt.path(), rt.allow(), advice)
}

// refusal is the error's problem, counted, and logged where it is this server's
// fault.
func (a *API) refusal(asked int, rt route, err error) *comntr.Problem {
	p := problemOf(err)
	a.meter.refused(asked, p.Code)
	if p.Status == http.StatusInternalServerError && a.worthLogging(p.Code) {
		args := []any{"err", err}
		if rt.kind == kindIPFS {
			args = append(args, "cid", rt.cid)
		}
		for _, h := range []struct {
			key  string
			hash comntr.Hash
		}{{"community", rt.community}, {"topic", rt.topic}, {"comment", rt.comment}} {
			if h.hash != (comntr.Hash{}) {
				args = append(args, h.key, h.hash)
			}
		}
		a.cfg.Log.Error("a request failed", args...)
	}
	return p
}

// fail answers with the error's problem, if no answer has begun.
func (a *API) fail(w *answer, r *http.Request, rt route, err error) {
	p := a.refusal(w.asked, rt, err)
	if w.begun {
		// The client must see that this is not the whole answer.
		panic(http.ErrAbortHandler)
	}
	if p.Status == http.StatusRequestTimeout || p.Status == http.StatusRequestEntityTooLarge {
		// What follows on the connection is the rest of the body.
		w.Header().Set("Connection", "close")
	}
	writeProblem(w, r, p)
}

// worthLogging tells whether a fault is logged. One damaged file can be asked for
// at any rate, so that faults of that kind are logged once a minute.
func (a *API) worthLogging(code string) bool {
	if code != comntr.CodeDamaged {
		return true
	}
	now := time.Now().Unix()
	last := a.damagedAt.Load()
	return now-last >= damagedLogged && a.damagedAt.CompareAndSwap(last, now)
}

// damagedLogged is seconds between two log lines about damaged files.
const damagedLogged = 60

// recovered keeps a panic in a handler from being more than one failed answer.
func (a *API) recovered(w *answer, r *http.Request) {
	v := recover()
	if v == nil {
		return
	}
	if v != http.ErrAbortHandler {
		a.panicked(w.asked, v)
		if !w.begun {
			w.Header().Set("Connection", "close")
			writeProblem(w, r, problemOf(nil))
			return
		}
	}
	panic(http.ErrAbortHandler) // cuts the connection, logs nothing
}

// panicked logs and counts a panic of value v. It is called while that panics.
func (a *API) panicked(asked int, v any) {
	a.cfg.Log.Error("a handler panicked", "err", fmt.Sprintf("%v\n%s", v, debug.Stack()))
	a.meter.refused(asked, comntr.CodeInternal)
}

// answer remembers whether an answer has begun, after which it can only be cut
// off.
type answer struct {
	http.ResponseWriter
	conn  *conn // where it goes over one of ours
	begun bool
	tally
}

// Unwrap is for http.ResponseController and for who takes the connection over.
func (w *answer) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// always sets the fields of every answer, for a handler to change.
func (w *answer) always() {
	h := w.Header()
	for _, fields := range [...][]field{always, confining} {
		for _, f := range fields {
			h[f.name] = f.value
		}
	}
	if w.conn != nil {
		w.conn.fields = nil
	}
}

// unconfined leaves out what an id does not need.
func (w *answer) unconfined() {
	if w.conn != nil {
		w.conn.fields = fieldsOfID
		return
	}
	for _, f := range confining {
		delete(w.Header(), f.name)
	}
}

// readBy and writeBy set deadlines.
func (w *answer) readBy(t time.Time) {
	if w.conn != nil {
		w.conn.SetReadDeadline(t)
	} else {
		http.NewResponseController(w.ResponseWriter).SetReadDeadline(t)
	}
}

func (w *answer) writeBy(t time.Time) {
	if w.conn != nil {
		w.conn.SetWriteDeadline(t)
	} else {
		http.NewResponseController(w.ResponseWriter).SetWriteDeadline(t)
	}
}

// WriteHeader begins the answer. The time that the client has to take it starts
// only now, because finding it may have taken long. (net/http takes the
// deadline back when the answer is done.)
func (w *answer) WriteHeader(status int) {
	w.begun, w.status = true, status
	w.writeBy(time.Now().Add(answerTime))
	w.ResponseWriter.WriteHeader(status)
}

func (w *answer) Write(b []byte) (int, error) {
	w.begun = true
	n, err := w.ResponseWriter.Write(b)
	w.sent += int64(n)
	return n, err
}

// writeBody answers with a body that is in memory.
func writeBody(w *answer, r *http.Request, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.writeAll(r, status, body)
}

// writeAll writes an answer whose fields are set.
func (w *answer) writeAll(r *http.Request, status int, body []byte) {
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		w.Write(body) // an error is the client's going away
	}
}

// notModified answers 304 where If-None-Match names the entity tag that has
// just been set.
func notModified(w *answer, r *http.Request, etag string) bool {
	w.Header().Set("Etag", etag)
	if !etagMatches(r.Header["If-None-Match"], etag) {
		return false
	}
	w.WriteHeader(http.StatusNotModified)
	return true
}

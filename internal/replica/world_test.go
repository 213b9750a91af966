package replica_test

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-cid"
	"go.uber.org/goleak"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
	"github.com/comntr/comntr/internal/ipfs"
	"github.com/comntr/comntr/internal/replica"
	"github.com/comntr/comntr/internal/store"
)

func TestMain(m *testing.M) {
	goleak.VerifyTestMain(m)
}

var reddit = comntr.NameHash("reddit")

// world is a network of servers in this process: HTTP without sockets.
type world struct {
	t       testing.TB
	mu      sync.Mutex
	hosts   map[string]http.Handler
	serving sync.WaitGroup
	onDisk  bool // stores are on disk: for benchmarks
}

func newWorld(t testing.TB) *world {
	w := &world{t: t, hosts: make(map[string]http.Handler)}
	t.Cleanup(w.serving.Wait)
	return w
}

func (w *world) handle(host string, h http.Handler) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.hosts[host] = h
}

// RoundTrip runs the request's handler in a goroutine, and its answer through a pipe.
func (w *world) RoundTrip(r *http.Request) (*http.Response, error) {
	w.mu.Lock()
	h := w.hosts[r.URL.Host]
	w.mu.Unlock()
	if h == nil {
		return nil, fmt.Errorf("%s: connection refused", r.URL.Host)
	}
	ctx, cancel := context.WithCancel(r.Context())
	pr, pw := io.Pipe()
	a := &answer{header: make(http.Header), body: pw, began: make(chan struct{})}
	w.serving.Go(func() {
		defer cancel()
		h.ServeHTTP(a, r.Clone(ctx))
		a.WriteHeader(http.StatusOK)
		pw.Close()
	})
	context.AfterFunc(ctx, func() {
		if err := r.Context().Err(); err != nil {
			pw.CloseWithError(err)
		}
	})
	select {
	case <-a.began:
	case <-ctx.Done():
		<-a.began
	}
	return &http.Response{StatusCode: a.status, Header: a.header, Body: &pipeBody{pr, cancel}, Request: r, ProtoMajor: 1, ProtoMinor: 1, ContentLength: -1}, nil
}

type pipeBody struct {
	*io.PipeReader
	cancel context.CancelFunc
}

func (b *pipeBody) Close() error {
	b.cancel()
	return b.PipeReader.Close()
}

type answer struct {
	header http.Header
	status int
	once   sync.Once
	began  chan struct{}
	body   *io.PipeWriter
}

func (a *answer) Header() http.Header { return a.header }
func (a *answer) Flush()              { a.WriteHeader(http.StatusOK) }
func (a *answer) WriteHeader(status int) {
	a.once.Do(func() {
		a.status = status
		a.header = a.header.Clone()
		close(a.began)
	})
}
func (a *answer) Write(b []byte) (int, error) {
	a.WriteHeader(http.StatusOK)
	return a.body.Write(b)
}

// server has a store and folders, answers as a server does, and replicates.
type server struct {
	t       testing.TB
	host    string
	key     string
	version comntr.Version
	fs      vfs.FS // of the store, if it is in memory
	store   *store.Store
	folders *ipfs.Folders
	replica *replica.Replica
	book    *book
	log     *lines

	mu       sync.Mutex
	noBlocks bool // POST /blocks is refused
	noEvents bool
	// resetEvents: what came before is no longer known to the stream
	resetEvents bool
	streams     []context.CancelFunc
	absent      map[cid.Cid]bool // blocks that it names and does not give
	requests    int
	blocks      int
	blockSize   int64
}

// serve adds a server to the world.
func (w *world) serve(name string, v comntr.Version, change ...func(*replica.Config)) *server {
	w.t.Helper()
	dir := w.t.TempDir()
	o, data := store.Options{FS: vfs.NewMem()}, "/data"
	if w.onDisk {
		o.FS, data = nil, w.t.TempDir()
	}
	st, err := store.Open(data, reddit, o)
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := st.Close(); err != nil {
			w.t.Error(err)
		}
	})
	fo, err := ipfs.OpenFolders(filepath.Join(dir, reddit.String(), ".ipfs"), v, st, slog.New(slog.DiscardHandler))
	if err != nil {
		w.t.Fatal(err)
	}
	w.t.Cleanup(func() {
		if err := fo.Close(); err != nil {
			w.t.Error(err)
		}
	})
	s := &server{t: w.t, host: name + ".test:80", key: strings.Repeat(fmt.Sprintf("%02x", len(w.hosts)+1), 32), version: v, fs: o.FS, store: st, folders: fo, book: newBook(), log: &lines{}, absent: make(map[cid.Cid]bool)}
	cfg := replica.Config{
		Communities: []replica.Community{{Store: st, Folders: fo}},
		Peers:       s.book,
		HTTP:        &http.Client{Transport: w},
		Log:         slog.New(slog.NewTextHandler(s.log, &slog.HandlerOptions{Level: slog.LevelDebug})),
	}
	for _, c := range change {
		c(&cfg)
	}
	s.replica = replica.New(cfg)
	w.handle(s.host, s)
	return s
}

// as is how others know the server.
func (s *server) as() discover.Server {
	return discover.Server{Origin: "http://" + s.host, Key: s.key, Hello: &comntr.Hello{}}
}

// round has s make a round with o and returns whether all of o's is at s.
func (s *server) round(o *server) bool {
	s.t.Helper()
	merged, err := s.replica.Round(context.Background(), o.as(), reddit)
	if err != nil {
		s.t.Fatalf("round of %s with %s: %v\n%s", s.host, o.host, err, s.log)
	}
	return merged
}

func (s *server) post(topic, text string) comntr.Hash {
	s.t.Helper()
	place := comntr.Place{Community: reddit, Topic: comntr.HashOrName(topic)}
	doc, err := comntr.ParseDocument(place, []byte(text))
	if err != nil {
		s.t.Fatal(err)
	}
	if _, err := s.store.Add(context.Background(), doc, ""); err != nil {
		s.t.Fatal(err)
	}
	return doc.ID()
}

// postMany posts n comments, spread over topics.
func (s *server) postMany(n, topics int, text string) {
	s.t.Helper()
	var docs []*comntr.Document
	for i := range n {
		place := comntr.Place{Community: reddit, Topic: comntr.NameHash(fmt.Sprint("/r/", i%topics))}
		doc, err := comntr.ParseDocument(place, fmt.Appendf(nil, "%s %d", text, i))
		if err != nil {
			s.t.Fatal(err)
		}
		docs = append(docs, doc)
	}
	for _, r := range s.store.AddAll(context.Background(), docs, "") {
		if r.Err != nil {
			s.t.Fatal(r.Err)
		}
	}
}

func (s *server) root() cid.Cid {
	s.t.Helper()
	c, err := s.folders.Root(context.Background())
	if err != nil {
		s.t.Fatal(err)
	}
	return c
}

// tree is all that the server has: topic/comment, and topic/ for each topic.
func (s *server) tree() map[string]bool {
	s.t.Helper()
	tree := make(map[string]bool)
	_, err := s.store.TopicsSince(0, func(topic comntr.Hash, listed bool) error {
		tree[topic.String()+"/"] = true
		_, err := s.store.Listing(topic, 0, func(comment comntr.Hash, _ uint64, removed bool) error {
			tree[topic.String()+"/"+comment.String()] = true
			return nil
		})
		return err
	})
	if err != nil {
		s.t.Fatal(err)
	}
	return tree
}

func (s *server) has(topic string, comment comntr.Hash) bool {
	held, _ := s.store.Has(comntr.HashOrName(topic), comment)
	return held
}

// checkSame requires that all servers have the same comments, and those of one
// version the same id.
func checkSame(t testing.TB, servers ...*server) {
	t.Helper()
	ids := make(map[comntr.Version]cid.Cid)
	want := servers[0].tree()
	for _, s := range servers {
		got := s.tree()
		for name := range want {
			if !got[name] {
				t.Errorf("%s lacks %s", s.host, name)
			}
		}
		for name := range got {
			if !want[name] {
				t.Errorf("%s lacks %s", servers[0].host, name)
			}
		}
		id, ok := ids[s.version]
		if !ok {
			ids[s.version] = s.root()
		} else if !id.Equals(s.root()) {
			t.Errorf("%s has the id %s, another of its version %s", s.host, s.root(), id)
		}
	}
}

func (s *server) set(fn func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	fn()
}

// cost is the requests served, and the blocks and their bytes given, since the
// last call.
func (s *server) cost() (requests, blocks int, size int64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	requests, blocks, size = s.requests, s.blocks, s.blockSize
	s.requests, s.blocks, s.blockSize = 0, 0, 0
	return
}

func (s *server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	s.set(func() { s.requests++ })
	parts := strings.Split(r.URL.Path[1:], "/")
	switch {
	case r.Method == "POST" && r.URL.Path == "/blocks":
		s.serveBlocks(w, r)
	case len(parts) == 1 && parts[0] == reddit.String():
		root, err := s.folders.Root(r.Context())
		if err != nil {
			problem(w, 500)
			return
		}
		fmt.Fprintln(w, root)
	case len(parts) == 2 && parts[1] == "events":
		s.serveEvents(w, r)
	case len(parts) == 3:
		topic, _ := comntr.ParseHash(parts[1])
		comment, _ := comntr.ParseHash(parts[2])
		b, err := s.store.Read(topic, comment)
		if err != nil {
			problem(w, 404)
			return
		}
		w.Write(b)
	default:
		problem(w, 404)
	}
}

func problem(w http.ResponseWriter, status int) {
	w.Header().Set("Content-Type", "application/problem+json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(comntr.Problem{Status: status, Title: http.StatusText(status), Detail: http.StatusText(status)})
}

func (s *server) serveBlocks(w http.ResponseWriter, r *http.Request) {
	s.mu.Lock()
	refused := s.noBlocks
	s.mu.Unlock()
	if refused {
		problem(w, 404)
		return
	}
	serveCAR(w, r, func(c cid.Cid) []byte {
		b, err := s.folders.Block(c)
		s.mu.Lock()
		defer s.mu.Unlock()
		if err != nil || s.absent[c] {
			return nil
		}
		s.blocks++
		s.blockSize += int64(len(b))
		return b
	})
}

// serveCAR answers POST /blocks with what block gives.
func serveCAR(w http.ResponseWriter, r *http.Request, block func(cid.Cid) []byte) {
	cids := asked(r)
	if len(cids) == 0 {
		problem(w, 400)
		return
	}
	w.Header().Set("Content-Type", comntr.CARType)
	car, err := comntr.NewCARWriter(w, cids[0])
	if err != nil {
		return
	}
	size := 0
	for _, c := range cids {
		b := block(c)
		if b == nil {
			continue
		}
		if size += len(b); size > comntr.MaxBlocksAnswer {
			return
		}
		if car.Block(c, b) != nil {
			return
		}
	}
}

func asked(r *http.Request) (cids []cid.Cid) {
	lines := bufio.NewScanner(r.Body)
	for lines.Scan() {
		c, err := cid.Decode(lines.Text())
		if err != nil {
			return nil
		}
		cids = append(cids, c)
	}
	return cids
}

func (s *server) serveEvents(w http.ResponseWriter, r *http.Request) {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	s.mu.Lock()
	refused, reset := s.noEvents, s.resetEvents
	s.resetEvents = false
	s.streams = append(s.streams, cancel)
	s.mu.Unlock()
	if refused {
		problem(w, 503)
		return
	}
	since := s.store.Seq()
	if id := r.Header.Get("Last-Event-ID"); id != "" {
		since, _ = strconv.ParseUint(id, 10, 64)
	}
	w.Header().Set("Content-Type", "text/event-stream")
	w.(http.Flusher).Flush()
	if reset {
		since = ^uint64(0)
	}
	for {
		changed := s.store.Changed()
		next, ok := s.store.Events(since, 100, func(seq uint64, topic, comment comntr.Hash) {
			writeEvent(w, strconv.FormatUint(seq, 10), topic, comment)
		})
		if !ok {
			fmt.Fprintf(w, "event: reset\nid: %d\ndata: {}\n\n", s.store.Seq())
			return
		}
		if next != since {
			since = next
			continue
		}
		select {
		case <-changed:
		case <-time.After(20 * time.Second):
			io.WriteString(w, ":\n\n") // a heartbeat
		case <-ctx.Done():
			return
		}
	}
}

// drop ends all streams of events; s.mu is held.
func (s *server) drop() {
	for _, cancel := range s.streams {
		cancel()
	}
	s.streams = nil
}

func writeEvent(w io.Writer, id string, topic, comment comntr.Hash) error {
	_, err := fmt.Fprintf(w, "event: comment\nid: %s\ndata: {\"topic\":\"%s\",\"comment\":\"%s\"}\n\n", id, topic, comment)
	return err
}

// book is the servers that one of them knows.
type book struct {
	mu      sync.Mutex
	servers []discover.Server
	changed chan struct{}
	failed  []string // origins reported
	errs    []error
	worked  int
	report  chan struct{} // has a token after Failed
}

func newBook(servers ...discover.Server) *book {
	return &book{servers: servers, changed: make(chan struct{}), report: make(chan struct{}, 100)}
}

func (b *book) Servers(comntr.Hash) []discover.Server {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]discover.Server(nil), b.servers...)
}

func (b *book) Changed() <-chan struct{} {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.changed
}

func (b *book) know(servers ...*server) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.servers = nil
	for _, s := range servers {
		b.servers = append(b.servers, s.as())
	}
	close(b.changed)
	b.changed = make(chan struct{})
}

func (b *book) Failed(origin string, err error) {
	b.mu.Lock()
	b.failed, b.errs = append(b.failed, origin), append(b.errs, err)
	b.mu.Unlock()
	select {
	case b.report <- struct{}{}:
	default:
	}
}

func (b *book) Worked(string) {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.worked++
}

func (b *book) failures() []error {
	b.mu.Lock()
	defer b.mu.Unlock()
	return append([]error(nil), b.errs...)
}

// run starts the replicas and stops them at the test's end.
func run(t testing.TB, servers ...*server) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for _, s := range servers {
		wg.Go(func() {
			if err := s.replica.Run(ctx); err != nil {
				t.Error(err)
			}
		})
	}
	t.Cleanup(func() {
		cancel()
		wg.Wait()
	})
}

// until waits for cond, which is looked at whenever one of the stores changes.
func until(t testing.TB, what string, cond func() bool, servers ...*server) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), waitMax)
	defer cancel()
	for {
		changed := make(chan struct{}, 1)
		stop := make(chan struct{})
		var wg sync.WaitGroup
		for _, s := range servers {
			c := s.store.Changed()
			wg.Go(func() {
				select {
				case <-c:
					select {
					case changed <- struct{}{}:
					default:
					}
				case <-stop:
				}
			})
		}
		ok := cond()
		if !ok {
			select {
			case <-changed:
			case <-ctx.Done():
			}
		}
		close(stop)
		wg.Wait()
		if ok {
			return
		}
		if ctx.Err() != nil {
			for _, s := range servers {
				t.Logf("%s:\n%s", s.host, s.log)
			}
			t.Fatalf("it never came to this: %s", what)
		}
	}
}

// lines keeps a log's last lines.
type lines struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.b.Len() > 64<<10 {
		l.b.Reset()
	}
	return l.b.Write(p)
}

func (l *lines) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}

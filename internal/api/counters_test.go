package api_test

import (
	"bufio"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"io"
	"net"
	"net/http/httptest"
	"runtime"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/api"
)

// counted makes of counters what is not 0 of them, in words.
func counted(c api.Counters) map[string]uint64 {
	out := map[string]uint64{}
	set := func(name string, n uint64) {
		if n != 0 {
			out[name] = n
		}
	}
	for _, r := range c.Routes {
		total := uint64(0)
		for i, n := range r.Answers {
			set(fmt.Sprintf("%s %dxx", r.Route, i+1), n)
			total += n
		}
		if r.Time != nil && r.Time.Count() != total {
			set(r.Route+" times", r.Time.Count())
		}
	}
	for _, r := range c.Refusals {
		set("post "+r.Reason, r.Posts)
		set("other "+r.Reason, r.Others)
	}
	set("new", c.PostsNew)
	set("known", c.PostsKnown)
	set("received", c.Received)
	set("sent", c.Sent)
	return out
}

// TestCounters: what is counted of each kind of request, and nothing else.
func TestCounters(t *testing.T) {
	topic, cool := "/"+news.String(), comntr.SumHash([]byte("Cool!"))
	cfg := config(t, nil)
	cfg.Rate, cfg.MaxSize = 1e6, 100
	a := api.New(cfg)
	h := a.Handler()
	etag := ""
	for _, c := range []struct {
		method, path, body string
		want               string // in the order of the answers: what counts once more
	}{
		{"POST", topic, "Cool!", "new; post 2xx; received 5; sent 41"},
		{"POST", topic, "Cool!", "known; post 2xx; received 5; sent 41"},
		{"POST", topic, "", "post empty; post 4xx; sent"},
		{"POST", topic, strings.Repeat("x", 101), "post too-large; post 4xx; sent"},
		{"POST", "/nonsense", "Cool!", "other bad-path; unknown 4xx; sent"},
		{"GET", topic, "", "topic 2xx; sent 47"},
		{"GET", topic, "etag", "topic 3xx"},
		{"HEAD", topic, "", "topic 2xx"},
		{"PUT", topic, "x", "other method; topic 4xx; sent"},
		{"OPTIONS", topic, "", "topic 2xx"},
		{"GET", "/", "", "root 2xx; sent"},
		{"GET", "/" + reddit.String(), "", "folder 2xx; sent"},
		{"GET", topic + "/" + cool.String(), "", "comment 2xx; sent 5"},
		{"GET", topic + "/" + news.String(), "", "other not-found; comment 4xx; sent"},
		{"GET", "/topics", "", "topics 2xx; sent"},
		{"POST", "/counts", "84d5\n", "counts 2xx; received 5; sent"},
		{"GET", "/ipfs/bafkqaaa?format=raw", "", "ipfs 2xx"},
		{"POST", "/blocks", "", "other bad-request; blocks 4xx; sent"},
		{"GET", comntr.HelloPath, "", "other bad-request; hello 4xx; sent"}, // no nonce
		{"GET", "/abc/main.js", "", "page 2xx; sent"},
		{"GET", "/announce", "", "other not-found; announce 4xx; sent"},
		{"HEAD", "/events", "", "events 2xx"},
	} {
		before := counted(a.Counters())
		w := httptest.NewRecorder()
		r := httptest.NewRequest(c.method, c.path, strings.NewReader(c.body))
		if c.body == "etag" {
			r = httptest.NewRequest(c.method, c.path, nil)
			r.Header.Set("If-None-Match", etag)
		}
		h.ServeHTTP(w, r)
		if e := w.Header().Get("Etag"); c.path == topic && e != "" {
			etag = e
		}
		want := map[string]uint64{}
		for _, one := range strings.Split(c.want, "; ") {
			name, number, _ := strings.Cut(one, " ")
			n, err := strconv.ParseUint(number, 10, 64)
			switch {
			case name == "sent" && number == "":
				want["sent"] = uint64(w.Body.Len())
			case err == nil:
				want[name] = n
			default:
				want[one] = 1
			}
		}
		after := counted(a.Counters())
		for name := range after {
			if after[name] -= before[name]; after[name] == 0 {
				delete(after, name)
			}
		}
		if fmt.Sprint(after) != fmt.Sprint(want) {
			t.Errorf("%s %s: %v, want %v (%d)", c.method, c.path, after, want, w.Code)
		}
	}
	before := counted(a.Counters())
	a.Stop()
	h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", topic, nil))
	if after := counted(a.Counters()); after["other stopping"] != 1 || after["unknown 5xx"] != 1 || before["unknown 5xx"] != 0 {
		t.Errorf("%v", after)
	}
}

// TestCountersOfConnections: what is open, and what was refused before a
// handler saw it.
func TestCountersOfConnections(t *testing.T) {
	cfg := config(t, newMemory("reddit"))
	cfg.Rate = 1
	a := api.New(cfg)
	addr := serve(t, a)
	dial := func() (net.Conn, *bufio.Reader) {
		c, err := net.Dial("tcp", addr)
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { c.Close() })
		return c, bufio.NewReader(c)
	}
	c, r := dial()
	fmt.Fprintf(c, "GET /events HTTP/1.1\r\nHost: x\r\n\r\n")
	if _, err := r.ReadString('\n'); err != nil {
		t.Fatal(err)
	}
	if n := a.Counters(); n.Connections != 1 || n.Listeners != 1 || n.Sessions != 0 || n.CARs != 0 {
		t.Errorf("%d connections, %d listeners", n.Connections, n.Listeners)
	}
	c, r = dial()
	fmt.Fprintf(c, "GET /%%zz HTTP/1.1\r\nHost: x\r\n\r\n")
	if b, err := io.ReadAll(r); err != nil || !strings.Contains(string(b), comntr.CodeBadRequest) {
		t.Errorf("%s %v", b, err)
	}
	if n := counted(a.Counters()); n["other bad-request"] != 1 || n["unknown 4xx"] != 0 {
		t.Errorf("%v", n)
	}
	for range 65 { // one more than an address may have
		dial()
	}
	until := time.Now().Add(time.Minute)
	for counted(a.Counters())["other busy"] == 0 {
		if time.Now().After(until) {
			t.Fatal("65 connections of one address were taken")
		}
		runtime.Gosched()
	}
}

// TestReasons: each code of a problem is counted under its own name.
func TestReasons(t *testing.T) {
	f, err := parser.ParseFile(token.NewFileSet(), "../../problem.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	codes := map[string]bool{}
	ast.Inspect(f, func(n ast.Node) bool {
		if v, ok := n.(*ast.ValueSpec); ok && strings.HasPrefix(v.Names[0].Name, "Code") {
			code, err := strconv.Unquote(v.Values[0].(*ast.BasicLit).Value)
			if err != nil {
				t.Fatal(err)
			}
			codes[code] = true
		}
		return true
	})
	if len(codes) < 20 {
		t.Fatalf("only %d codes were found", len(codes))
	}
	for _, r := range api.New(config(t, newMemory("reddit"))).Counters().Refusals {
		if !codes[r.Reason] {
			t.Errorf("%s is no code, or stands twice", r.Reason)
		}
		delete(codes, r.Reason)
	}
	for code := range codes {
		t.Errorf("%s is not counted", code)
	}
}

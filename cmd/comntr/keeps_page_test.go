package main

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/fstest"

	"github.com/comntr/comntr/web"
)

// door is an address where something answers, or nothing does.
type door struct {
	addr    string
	handler http.Handler

	mu sync.Mutex
	s  *httptest.Server
}

func newDoor(t *testing.T, handler http.Handler) *door {
	d := &door{addr: "127.0.0.1:0", handler: handler}
	if err := d.open(); err != nil {
		t.Fatal(err)
	}
	d.addr = d.s.Listener.Addr().String()
	t.Cleanup(d.shut)
	return d
}

func (d *door) url() string { return "http://" + d.addr }

func (d *door) open() error {
	d.mu.Lock()
	defer d.mu.Unlock()
	l, err := net.Listen("tcp", d.addr)
	if err != nil || d.s != nil {
		return err
	}
	d.s = httptest.NewUnstartedServer(d.handler)
	d.s.Listener.Close()
	d.s.Listener = l
	d.s.Start()
	return nil
}

func (d *door) shut() {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.s != nil {
		d.s.CloseClientConnections()
		d.s.Close()
		d.s = nil
	}
}

// pageHost is a static host of the page, at /some/where/, that can become
// another version of it, slow, or the host of something else.
type pageHost struct {
	t      *testing.T
	dir    string
	server string
	// newer is the folder of the version that is there now, gone that there is none.
	newer atomic.Value
	gone  atomic.Bool
	// sw.js stays that of the version before, as in a cache on the way.
	late atomic.Value
	// Who looks whether sw.js is still there, and does not look for the next
	// one, hears nothing.
	hangs atomic.Bool
}

func (p *pageHost) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	name, inside := strings.CutPrefix(r.URL.Path, "/some/where/")
	if !inside || p.gone.Load() {
		http.NotFound(w, r)
		return
	}
	newer, _ := p.newer.Load().(string)
	switch name {
	case "config.json":
		w.Header().Set("Content-Type", "application/json")
		fmt.Fprintf(w, `{"community": "reddit", "servers": [%q]}`, p.server)
		return
	case "", "sw.js":
		if name != "" {
			if p.hangs.Load() && r.Header.Get("Service-Worker") == "" {
				<-r.Context().Done()
				return
			}
			if late, _ := p.late.Load().(string); late != "" {
				newer = late
			}
		}
		file := name
		if file == "" {
			file = "index.html"
			w.Header().Set("Content-Type", "text/html")
		} else {
			w.Header().Set("Content-Type", "text/javascript")
		}
		f, err := web.Page().Open(file)
		if err != nil {
			p.t.Error(err)
			return
		}
		defer f.Close()
		b, err := io.ReadAll(f)
		if err != nil {
			p.t.Error(err)
			return
		}
		if newer != "" {
			b = bytes.ReplaceAll(b, []byte(p.dir), []byte(newer))
		}
		w.Write(b)
		return
	}
	if newer != "" {
		// The old folder is gone with the old version.
		file, ok := strings.CutPrefix(name, newer+"/")
		if !ok {
			http.NotFound(w, r)
			return
		}
		name = p.dir + "/" + file
	}
	r.URL.Path = "/" + name
	http.FileServerFS(web.Page()).ServeHTTP(w, r)
}

// TestE2EPageKeeps: the page opens without its host and without a server, shows
// what was read, keeps what is written and sends it once, in order, when a
// server answers: after a restart of the browser, and in whichever tab. It
// becomes its next version whole, and goes when its host says so.
func TestE2EPageKeeps(t *testing.T) {
	needsPage(t)
	data := t.TempDir()
	// WebTransport would pass by the door.
	var a running
	start := func() { a.Store(serve(t, data, "--webtransport-listen", "none")) }
	start()
	const text = "Posted before."
	newAuthor(t, "Ann").mustSay(t, a.Load(), text)

	var mu sync.Mutex
	var posts []string
	forward := &httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			u, err := url.Parse(a.http())
			if err != nil {
				panic(err)
			}
			r.SetURL(u)
		},
		FlushInterval: -1,
		ErrorLog:      log.New(io.Discard, "", 0),
	}
	at := newDoor(t, http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.Method == http.MethodPost && !strings.HasSuffix(r.URL.Path, "blocks") && !strings.HasSuffix(r.URL.Path, "counts") {
			b, err := io.ReadAll(r.Body)
			if err != nil {
				return
			}
			_, said, _ := strings.Cut(string(b), "\n\n")
			mu.Lock()
			posts = append(posts, said)
			mu.Unlock()
			r.Body = io.NopCloser(bytes.NewReader(b))
		}
		forward.ServeHTTP(w, r)
	}))
	h := newHolder()
	pages := &pageHost{t: t, dir: scriptsFolder(t), server: at.url()}
	host := newDoor(t, h.before(pages, ""))
	play(t, "keeps.mjs", "keeps", facts{"site": host.url() + "/some/where/", "a": at.url(), "text": text, "profile": t.TempDir()}, acts{
		"down": func(string) (string, error) { at.shut(); a.Load().kill(); return "", nil },
		"up":   func(string) (string, error) { start(); return "", at.open() },
		"host": func(text string) (string, error) {
			switch {
			case text == "down":
				host.shut()
			case text == "up":
				return "", host.open()
			case text == "slow":
				h.hold()
			case text == "quick":
				h.free()
			case text == "gone":
				pages.gone.Store(true)
			case text == "hangs":
				pages.hangs.Store(true)
			case text == "late":
				pages.late.Store(pages.newer.Load())
			case text == "in time":
				pages.hangs.Store(false)
				pages.late.Store("")
			default:
				pages.newer.Store(text)
			}
			return "", nil
		},
		"has":   soon(func(text string) (string, error) { return a.Load().signed(text) }),
		"lacks": soon(func(text string) (string, error) { return a.Load().lacks(text) }),
		"posts": func(string) (string, error) {
			mu.Lock()
			defer mu.Unlock()
			return strings.Join(posts, "\n"), nil
		},
	})
}

// TestE2EPageFull: where a browser has no room left, what is read is read and
// what is written is sent, and that nothing is kept is said once.
func TestE2EPageFull(t *testing.T) {
	needsPage(t)
	a := serve(t, t.TempDir(), "--webtransport-listen", "none")
	const text = "Posted before."
	newAuthor(t, "Ann").mustSay(t, a, text)
	u, err := url.Parse(a.http)
	if err != nil {
		t.Fatal(err)
	}
	forward := httputil.NewSingleHostReverseProxy(u)
	forward.ErrorLog = log.New(io.Discard, "", 0)
	at := newDoor(t, forward)
	play(t, "keeps.mjs", "full", facts{"site": site(t, httptest.NewServer, []string{at.url()}, nil), "a": at.url(), "text": text, "profile": t.TempDir()}, acts{
		"down": func(string) (string, error) { at.shut(); return "", nil },
		"up":   func(string) (string, error) { return "", at.open() },
		"has":  soon(a.signed),
	})
}

// ipfsGateway adds the page to the gateway of boxo, which is what Kubo and public
// gateways are made of, with a config.json that names a server. It returns the
// page's CID, the gateway's port, and what ends it.
func ipfsGateway(t *testing.T, server string) (cid, port string, stop func()) {
	t.Helper()
	dir := filepath.Join(t.TempDir(), "page")
	if err := os.CopyFS(dir, over{fstest.MapFS{"config.json": {Data: fmt.Appendf(nil, `{"community": "reddit", "servers": [%q]}`, server)}}, web.Page()}); err != nil {
		t.Fatal(err)
	}
	bin := filepath.Join(t.TempDir(), "gateway")
	build := exec.Command("go", "build", "-o", bin, ".")
	build.Dir = filepath.Join("..", "..", "interop", "gateway")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("the gateway is not built: %v\n%s", err, out)
	}
	cmd := exec.Command(bin, dir)
	stdin, err := cmd.StdinPipe() // its end ends the gateway
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	var stderr bytes.Buffer
	cmd.Stderr = &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	stop = sync.OnceFunc(func() {
		stdin.Close()
		cmd.Wait()
	})
	t.Cleanup(stop)
	if _, err := fmt.Fscanln(bufio.NewReader(stdout), &cid, &port); err != nil {
		t.Fatalf("the gateway did not start: %v\n%s", err, &stderr)
	}
	return cid, port, stop
}

// TestE2EPageOnPathGateway: where an IPFS gateway gives all pages one origin
// this one is read and nothing is kept, and it leads to where it has its own.
func TestE2EPageOnPathGateway(t *testing.T) {
	needsPage(t)
	a := serve(t, t.TempDir())
	const text = "Read at a gateway."
	newAuthor(t, "Ann").mustSay(t, a, text)
	cid, port, _ := ipfsGateway(t, a.http)
	play(t, "states.mjs", "gateway", facts{"site": "http://127.0.0.1:" + port + "/ipfs/" + cid + "/", "a": a.http, "text": text, "cid": cid}, nil)
}

// TestE2EPageOnSubdomainGateway: the built page, added to IPFS, is whole where a
// gateway gives it an origin of its own: it writes, keeps its names, and opens
// when the gateway is gone.
func TestE2EPageOnSubdomainGateway(t *testing.T) {
	needsPage(t)
	a := serve(t, t.TempDir())
	const text = "Read at a gateway."
	newAuthor(t, "Ann").mustSay(t, a, text)
	cid, port, stop := ipfsGateway(t, a.http)
	play(t, "keeps.mjs", "subdomain", facts{
		"site": "http://" + cid + ".ipfs.localhost:" + port + "/", "a": a.http, "text": text, "profile": t.TempDir(),
	}, acts{"has": soon(a.signed), "down": func(string) (string, error) { stop(); return "", nil }})
}

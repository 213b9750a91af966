package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"crypto/sha256"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"io/fs"
	"log"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/web"
)

// pageTopic is the topic that web/e2e/discover.mjs reads.
const pageTopic = "/r/news"

// facts is what a scenario of a script in web/e2e is told.
type facts map[string]string

// acts is what such a scenario may have the test do.
type acts map[string]func(text string) (string, error)

// playPage runs a scenario of web/e2e/discover.mjs in Chromium.
func playPage(t *testing.T, scenario string, f facts, a acts) {
	t.Helper()
	play(t, "discover.mjs", scenario, f, a)
}

// playTime is for one scenario: its script waits for one thing for up to two
// minutes, and says what did not come.
const playTime = 5 * time.Minute

// play runs a scenario of a script in web/e2e in Chromium.
func play(t *testing.T, script, scenario string, f facts, a acts) {
	t.Helper()
	chromium, err := exec.LookPath("chromium")
	if err != nil {
		t.Fatal(err)
	}
	control := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		act := a[strings.TrimPrefix(r.URL.Path, "/")]
		if act == nil {
			http.NotFound(w, r)
			return
		}
		text, err := io.ReadAll(r.Body)
		answer := ""
		if err == nil {
			answer, err = act(string(text))
		}
		if err != nil {
			http.Error(w, err.Error(), http.StatusInternalServerError)
			return
		}
		io.WriteString(w, answer)
	}))
	defer control.Close()
	f["control"], f["executablePath"], f["certificate"] = control.URL, chromium, certificate()
	text, err := json.Marshal(f)
	if err != nil {
		t.Fatal(err)
	}
	drive(t, playTime, "e2e/"+script, scenario, string(text))
}

// drive runs a script of web/e2e. One that takes too long is told to end: it
// closes its browsers and says where it was.
func drive(t *testing.T, limit time.Duration, args ...string) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), limit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "node", args...)
	cmd.Dir = filepath.Join("..", "..", "web")
	cmd.Cancel = func() error { return cmd.Process.Signal(syscall.SIGTERM) }
	cmd.WaitDelay = 20 * time.Second
	out, err := cmd.CombinedOutput()
	t.Logf("%s", out)
	if err != nil && ctx.Err() != nil {
		t.Fatalf("the script took longer than %s: %v", limit, err)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// needsPage skips where the page cannot be opened; in CI that is a failure.
func needsPage(t *testing.T) {
	t.Helper()
	e2e(t)
	needs(t, "node")
	needs(t, "chromium")
	if _, err := os.Stat(filepath.Join("..", "..", "web", "node_modules", "playwright-core")); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatal("web/node_modules is not there: make web")
		}
		t.Skip("web/node_modules is not there: make web")
	}
}

// site is the page on a static host that is no comntr server, under a folder of
// its own, with a config.json of its own. It fails the test when it is asked
// for anything else.
func site(t *testing.T, start func(http.Handler) *httptest.Server, servers, trackers []string) string {
	t.Helper()
	return siteWith(t, start, map[string]any{"servers": servers, "trackers": trackers})
}

// siteWith is site with more in its config.json.
func siteWith(t *testing.T, start func(http.Handler) *httptest.Server, fields map[string]any) string {
	t.Helper()
	const at = "/some/where/"
	fields["community"] = "reddit"
	config, err := json.Marshal(fields)
	if err != nil {
		t.Fatal(err)
	}
	files := http.StripPrefix(at, http.FileServerFS(web.Page()))
	s := start(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		name, inside := strings.CutPrefix(r.URL.Path, at)
		if name == "config.json" {
			w.Header().Set("Content-Type", "application/json")
			w.Write(config)
			return
		}
		if _, err := fs.Stat(web.Page(), strings.TrimSuffix(name, "/")); !inside || name != "" && err != nil {
			t.Errorf("the page's host was asked for %s", r.URL)
		}
		files.ServeHTTP(w, r)
	}))
	t.Cleanup(s.Close)
	return s.URL + at
}

// nowhere is an origin where nothing answers: what stands in a server's hello
// when nobody can reach the server there. Its port is held until the test ends,
// for a port that is given back may be the next server's.
func nowhere(t *testing.T) string {
	t.Helper()
	s, err := syscall.Socket(syscall.AF_INET, syscall.SOCK_STREAM, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { syscall.Close(s) })
	if err := syscall.Bind(s, &syscall.SockaddrInet4{Addr: [4]byte{127, 0, 0, 1}}); err != nil {
		t.Fatal(err)
	}
	at, err := syscall.Getsockname(s)
	if err != nil {
		t.Fatal(err)
	}
	return fmt.Sprintf("http://127.0.0.1:%d", at.(*syscall.SockaddrInet4).Port)
}

func (s *server) announce() string {
	return "ws" + strings.TrimPrefix(s.http, "http") + "/announce"
}

// byCommand posts from the command line to the topic that the page reads.
func (s *server) byCommand(text string) (string, error) {
	stdout, stderr, code := output(s.t, "", "post", "--server", s.http, "--allow-private", "--anonymous", "--user", "Ann", pageTopic, text)
	if code != 0 {
		return "", fmt.Errorf("post exits with %d: %s", code, stderr)
	}
	return strings.TrimSpace(stdout), nil
}

// has is an error unless a comment with the text is in the server's folder and
// on its disk.
func (s *server) has(text string) (string, error) {
	p := comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash(pageTopic)}
	f, err := s.client.Folder(context.Background(), p)
	if err != nil {
		return "", err
	}
	for _, c := range f.Comments {
		b, err := os.ReadFile(filepath.Join(s.data, p.Community.String(), p.Topic.String(), c.ID.String()))
		if err != nil {
			return "", err
		}
		if bytes.HasSuffix(b, []byte("\n\n"+text)) {
			return c.ID.String(), nil
		}
	}
	return "", fmt.Errorf("none of the %d comments says %q", len(f.Comments), text)
}

// TestE2EPageDiscovers: the page, on a host that is no server, knows a tracker
// and nothing else. It finds a server, reads what was posted from the command
// line, and posts, all over the data channel.
func TestE2EPageDiscovers(t *testing.T) {
	needsPage(t)
	away := nowhere(t)
	a := serve(t, t.TempDir(), "--public-url", away, "--webtransport-listen", "none")
	const text = "Posted from the command line."
	if _, err := a.byCommand(text); err != nil {
		t.Fatal(err)
	}
	playPage(t, "tracker", facts{
		"site": site(t, httptest.NewServer, nil, []string{a.announce()}), "tracker": a.announce(), "nowhere": away, "text": text,
	}, acts{"has": a.has, "post": a.byCommand})
}

// TestE2EPageOnHTTPS: the page, on https, finds and uses a server that has an IP
// address and no certificate: by WebRTC, for the browser forbids all else.
func TestE2EPageOnHTTPS(t *testing.T) {
	needsPage(t)
	// 192.0.2.1 is nobody's (RFC 5737), and nothing is sent to it: the scenario
	// counts every request.
	a := serve(t, t.TempDir(), "--public-url", "http://192.0.2.1:4080", "--webtransport-listen", "none")
	const text = "Posted from the command line."
	if _, err := a.byCommand(text); err != nil {
		t.Fatal(err)
	}
	tracker := "wss" + strings.TrimPrefix(proxy(t, tlsServer, func() string { return a.http }, nil), "https") + "/announce"
	playPage(t, "secure", facts{
		"site": site(t, tlsServer, nil, []string{tracker}), "tracker": tracker, "text": text,
	}, acts{"has": a.has})
}

// TestE2EPageOverWebTransport: the same with a server that speaks WebTransport.
// The page goes over to it, knows the server again by its certificates, learns
// its new ones, and does with a data channel where there is no session.
func TestE2EPageOverWebTransport(t *testing.T) {
	needsPage(t)
	const address, text = "192.0.2.1", "Posted from the command line."
	data := t.TempDir()
	var a running
	start := func(quic string) {
		a.Store(serve(t, data, "--public-url", "http://"+address+":4080", "--webtransport-listen", quic))
	}
	start("127.0.0.1:0")
	listen := strings.TrimPrefix(a.Load().webTransport, "https://")
	if _, err := a.Load().byCommand(text); err != nil {
		t.Fatal(err)
	}
	var shut atomic.Bool
	away := nowhere(t)
	tracker := proxy(t, tlsServer, func() string {
		if shut.Load() {
			return away
		}
		return a.http()
	}, nil)
	tracker = "wss" + strings.TrimPrefix(tracker, "https") + "/announce"
	playPage(t, "sessions", facts{
		"site": site(t, tlsServer, nil, []string{tracker}), "tracker": tracker, "text": text,
		"address": "https://" + net.JoinHostPort(address, listen[strings.LastIndexByte(listen, ':')+1:]),
	}, acts{
		"has":     func(text string) (string, error) { return a.Load().has(text) },
		"post":    func(text string) (string, error) { return a.Load().byCommand(text) },
		"tracker": func(text string) (string, error) { shut.Store(text == "off"); return "", nil },
		// The same address, as a page knows it.
		"restart": func(text string) (string, error) {
			a.Load().stop()
			switch text {
			case "none":
				start("none")
				return "", nil
			case "another certificate":
				if err := os.Remove(filepath.Join(data, ".comntr", "webtransport")); err != nil {
					return "", err
				}
			}
			start(listen)
			return "", nil
		},
	})
}

// TestE2EPageByAnothersTracker: npm's bittorrent-tracker brings the page and a
// server together as ours does.
func TestE2EPageByAnothersTracker(t *testing.T) {
	needsPage(t)
	cmd := exec.Command("node", "tracker-serve.mjs")
	cmd.Dir = interop(t, "bittorrent-tracker")
	tracker := started(t, cmd)
	var a running
	atA := proxy(t, httptest.NewServer, a.http, nil)
	a.Store(serve(t, t.TempDir(), "--tracker", tracker, "--no-embedded-tracker", "--public-url", atA, "--webtransport-listen", "none"))
	const text = "Posted from the command line."
	if _, err := a.Load().byCommand(text); err != nil {
		t.Fatal(err)
	}
	playPage(t, "other", facts{
		"site": site(t, httptest.NewServer, nil, []string{tracker}), "tracker": tracker, "a": atA, "text": text,
	}, acts{"has": a.Load().has})
}

// started starts a program that says where it listens, and ends when its input
// does.
func started(t *testing.T, cmd *exec.Cmd) string {
	t.Helper()
	stdin, err := cmd.StdinPipe()
	if err != nil {
		t.Fatal(err)
	}
	stdout, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		stdin.Close()
		cmd.Wait()
	})
	line, err := bufio.NewReader(stdout).ReadString('\n')
	if err != nil {
		t.Fatalf("%s did not start: %v", cmd, err)
	}
	return strings.TrimSpace(line)
}

// TestE2EWebTorrent: npm's webtorrent meets a server, and another of its own
// kind, by the server's tracker, under SHA1("reddit"), and reads the hello.
func TestE2EWebTorrent(t *testing.T) {
	needsPage(t)
	dist := filepath.Join(interop(t, "webtorrent"), "node_modules", "webtorrent", "dist")
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/":
			w.Header().Set("Content-Type", "text/html")
			io.WriteString(w, "<!doctype html><title>torrent</title><link rel=icon href=data:,>")
		case "/webtorrent.min.js":
			http.ServeFile(w, r, filepath.Join(dist, "webtorrent.min.js"))
		default:
			http.NotFound(w, r)
		}
	}))
	t.Cleanup(site.Close)
	a := serve(t, t.TempDir())
	community := comntr.NameHash("reddit")
	play(t, "webtorrent.mjs", "meets", facts{
		"site": site.URL + "/", "infohash": community.String(),
		"tracker": "ws" + strings.TrimPrefix(a.http, "http") + "/announce",
	}, acts{
		"is its hello": func(text string) (string, error) {
			var hello comntr.Hello
			if err := json.Unmarshal([]byte(text), &hello); err != nil {
				return "", fmt.Errorf("%w: %s", err, text)
			}
			want, err := a.client.Hello(t.Context())
			if err != nil {
				return "", err
			}
			if hello.Key != want.Key {
				return "", fmt.Errorf("the hello is of %s, not of %s", hello.Key, want.Key)
			}
			return "", nil
		},
	})
}

// TestE2EPageOutlivesServer: the page reads what was posted to A, posts to A and
// B, and does without A when that is killed.
func TestE2EPageOutlivesServer(t *testing.T) {
	needsPage(t)
	// Each is to know the other from its start, so one of them needs an address
	// before it has one.
	var late running
	atB := proxy(t, httptest.NewServer, late.http, nil)
	a := serve(t, t.TempDir(), "--sync-interval", "2s", "--peer", atB)
	const text = "Posted to A."
	if _, err := a.byCommand(text); err != nil {
		t.Fatal(err)
	}
	b := serve(t, t.TempDir(), "--sync-interval", "2s", "--public-url", atB, "--peer", a.http)
	late.Store(b)
	eventually(t, time.Minute, func() error {
		_, err := b.has(text)
		return err
	})
	playPage(t, "two", facts{
		"site": site(t, httptest.NewServer, []string{a.http, atB}, nil), "a": a.http, "b": atB, "also": b.http, "session": a.webTransport, "text": text,
	}, acts{
		"hasA": a.has, "hasB": b.has, "post": b.byCommand,
		"kill": func(string) (string, error) { a.kill(); return "", nil },
	})
}

// TestE2EPageLiedTo: one of two servers gives comments that are not those of
// their names. The page shows none of them, does without that server, and says
// so.
func TestE2EPageLiedTo(t *testing.T) {
	needsPage(t)
	a, b := serve(t, t.TempDir()), serve(t, t.TempDir())
	const text = "The sky is blue."
	p := comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash(pageTopic)}
	// A has more than B, so that the page must ask it for something.
	for s, texts := range map[*server][]string{a: {text, "The sea is blue."}, b: {text}} {
		for _, each := range texts {
			if _, _, err := s.client.Post(t.Context(), p, []byte(each)); err != nil {
				t.Fatal(err)
			}
		}
	}
	var lies atomic.Int32
	liar := proxy(t, httptest.NewServer, func() string { return a.http }, func(r *http.Response) error {
		if strings.HasPrefix(r.Header.Get("Content-Type"), "text/event-stream") {
			return nil
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			return err
		}
		// One bit, and the length stays.
		if bytes.Contains(body, []byte(" is blue")) {
			lies.Add(1)
			body = bytes.ReplaceAll(body, []byte(" is blue"), []byte(" is clue"))
		}
		r.Body = io.NopCloser(bytes.NewReader(body))
		return nil
	})
	playPage(t, "liar", facts{
		"site": site(t, httptest.NewServer, []string{liar, b.http}, nil), "a": liar, "b": b.http, "also": a.http, "text": text,
	}, acts{
		"has":  b.has,
		"lies": func(string) (string, error) { return strconv.Itoa(int(lies.Load())), nil },
	})
}

// TestE2EPageFillsGaps: of two servers, each keeps back what the other has. The
// page shows all of it, and what comes to either.
func TestE2EPageFillsGaps(t *testing.T) {
	needsPage(t)
	a, b := serve(t, t.TempDir()), serve(t, t.TempDir())
	const text = "On both."
	p := comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash(pageTopic)}
	for s, own := range map[*server]string{a: "Only on A.", b: "Only on B."} {
		for _, each := range []string{text, own} {
			if _, _, err := s.client.Post(t.Context(), p, []byte(each)); err != nil {
				t.Fatal(err)
			}
		}
	}
	playPage(t, "gaps", facts{
		"site": site(t, httptest.NewServer, []string{a.http, b.http}, nil), "a": a.http, "b": b.http, "text": text,
	}, acts{"postA": a.byCommand, "postB": b.byCommand})
}

// TestE2EPageHostileMarkdown: what web/e2e/vectors.mjs lists is posted as
// comments, topic and name; the page shows it as what it is, runs and loads none
// of it, and goes on answering.
func TestE2EPageHostileMarkdown(t *testing.T) {
	needsPage(t)
	a := serve(t, t.TempDir())
	const topic, user = `"><img src=x onerror=alert(1)>`, `</bdi><script>alert(1)</script>`
	p := comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash(topic)}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	playPage(t, "hostile", facts{
		"site": site(t, httptest.NewServer, []string{a.http}, nil), "a": a.http, "topic": topic, "user": user,
	}, acts{
		// Signed, for plain text is never taken for Markdown.
		"say": func(text string) (string, error) {
			doc, err := comntr.Draft{Place: p, Date: time.Now(), User: user, Name: topic, Body: []byte(text)}.Sign(key)
			if err != nil {
				return "", err
			}
			id, _, err := a.client.Post(t.Context(), p, doc.Bytes())
			return id.String(), err
		},
	})
}

// running is a server that may not have started yet.
type running struct{ atomic.Pointer[server] }

func (r *running) http() string {
	if s := r.Load(); s != nil {
		return s.http
	}
	return ""
}

// tlsServer has a certificate that it made itself, and says nothing of those
// who do not trust it.
func tlsServer(h http.Handler) *httptest.Server {
	s := httptest.NewUnstartedServer(h)
	s.Config.ErrorLog = log.New(io.Discard, "", 0)
	s.StartTLS()
	return s
}

// certificate is the hash of tlsServer's key, as Chromium wants it: the base64 of
// its SPKI's SHA-256.
func certificate() string {
	s := tlsServer(nil)
	defer s.Close()
	sum := sha256.Sum256(s.Certificate().RawSubjectPublicKeyInfo)
	return base64.StdEncoding.EncodeToString(sum[:])
}

// proxy stands before a server, from before that starts if need be, and changes
// what it answers.
func proxy(t *testing.T, start func(http.Handler) *httptest.Server, to func() string, change func(*http.Response) error) string {
	t.Helper()
	p := start(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) {
			u, err := url.Parse(to())
			if err != nil {
				panic(err)
			}
			r.SetURL(u)
			r.Out.Host = r.In.Host
			// What is to be changed is not to be compressed.
			if change != nil {
				r.Out.Header.Set("Accept-Encoding", "identity")
			}
		},
		ModifyResponse: change,
		FlushInterval:  -1,
		ErrorLog:       log.New(io.Discard, "", 0),
	})
	t.Cleanup(p.Close)
	return p.URL
}

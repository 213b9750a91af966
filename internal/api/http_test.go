package api_test

import (
	"bufio"
	"bytes"
	"context"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"unicode/utf8"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/api"
	"github.com/comntr/comntr/internal/store"
)

var update = flag.Bool("update", false, "write the answers into testdata/http instead of comparing them")

// TestHTTP speaks HTTP as it stands in testdata/http/*.txt: lines that begin
// with "> " are sent, those with "< " must come back, "= " says what is stored
// afterwards, "! " configures the server, "# " explains. Each exchange has a
// connection of its own to a server with a real store and folders. Date is left
// out, and so are the headers that every answer must have, which are checked.
// In what is sent, {sha1 TEXT} is the SHA-1 of a text, {body NAME} one of
// bodies, {length} the length of the body.
// {long} are 30,000 letters.
func TestHTTP(t *testing.T) {
	files, err := filepath.Glob("testdata/http/*.txt")
	if err != nil || len(files) == 0 {
		t.Fatal("no testdata/http/*.txt", err)
	}
	for _, file := range files {
		t.Run(strings.TrimSuffix(filepath.Base(file), ".txt"), func(t *testing.T) { runHTTP(t, file) })
	}
}

func runHTTP(t *testing.T, file string) {
	b, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	data := t.TempDir()
	c := api.Config{Gateway: true, Key: seed, Log: testLog(t), Hello: testHello, Page: testPage}
	var addr string
	start := func() {
		if addr == "" {
			if len(c.Communities) == 0 {
				c.Communities = []api.Community{community(t, data, "reddit")}
			}
			addr = serve(t, api.New(c))
		}
	}
	var out []string
	var request []string
	finish := func() {
		if request == nil {
			return
		}
		start()
		out = append(out, exchange(t, addr, request)...)
		topics, comments := stored(t, data)
		out = append(out, fmt.Sprintf("= %d comments, %d topics", comments, topics))
		request = nil
	}
	for line := range strings.Lines(string(b)) {
		line = strings.TrimSuffix(line, "\n")
		switch {
		case strings.HasPrefix(line, "<"), strings.HasPrefix(line, "="):
			finish()
			continue
		case strings.HasPrefix(line, ">"):
			request = append(request, strings.TrimPrefix(strings.TrimPrefix(line, ">"), " "))
		case strings.HasPrefix(line, "! "):
			finish()
			configure(t, &c, data, strings.Fields(line)[1:])
		default:
			finish()
		}
		out = append(out, line)
	}
	finish()
	got := strings.Join(out, "\n") + "\n"
	if *update {
		if err := os.WriteFile(file, []byte(got), 0o666); err != nil {
			t.Fatal(err)
		}
		return
	}
	gotLines, wantLines := strings.Split(got, "\n"), strings.Split(string(b), "\n")
	for i := range max(len(gotLines), len(wantLines)) {
		if i >= len(gotLines) || i >= len(wantLines) || gotLines[i] != wantLines[i] {
			t.Fatalf("%s:%d\n got: %s\nwant: %s", file, i+1, strings.Join(tail(gotLines, i), "\n"), strings.Join(tail(wantLines, i), "\n"))
		}
	}
}

func tail(lines []string, from int) []string {
	from = min(from, len(lines))
	return lines[from:min(from+12, len(lines))]
}

func configure(t *testing.T, c *api.Config, data string, args []string) {
	switch args[0] {
	case "community":
		c.Communities = append(c.Communities, community(t, data, args[1]))
	case "full": // the disk is full
		c.Communities = append(c.Communities, community(t, data, "reddit"))
		c.Communities[0].Store = fullStore{c.Communities[0].Store}
	case "no-gateway":
		c.Gateway = false
	case "tracker":
		c.Tracker = noTracker{t}
	case "max-size":
		c.MaxSize, _ = strconv.Atoi(args[1])
	case "min-work":
		c.MinWork, _ = strconv.Atoi(args[1])
	case "rate":
		c.Rate, _ = strconv.ParseFloat(args[1], 64)
	default:
		t.Fatalf("unknown: ! %s", args)
	}
}

// noTracker is never asked.
type noTracker struct{ t *testing.T }

func (n noTracker) ServeHTTP(http.ResponseWriter, *http.Request) {
	n.t.Error("what opens no WebSocket came to the tracker")
}

// fullStore is on a disk without room.
type fullStore struct{ api.Store }

func (fullStore) Add(context.Context, *comntr.Document, string) (bool, error) {
	return false, fmt.Errorf("write the journal: %w", store.ErrFull)
}

var sha1Var = regexp.MustCompile(`\{sha1 ([^}]*)\}`)
var bodyVar = regexp.MustCompile(`^\{body ([^}]*)\}$`)

// exchange sends one request and returns the answer in "< " lines.
func exchange(t *testing.T, addr string, lines []string) []string {
	t.Helper()
	head, body := lines, ""
	if i := slices.Index(lines, ""); i >= 0 {
		head, body = lines[:i], strings.Join(lines[i+1:], "\n")
	}
	expand := func(s string) string {
		return sha1Var.ReplaceAllStringFunc(s, func(m string) string {
			return comntr.NameHash(sha1Var.FindStringSubmatch(m)[1]).String()
		})
	}
	if m := bodyVar.FindStringSubmatch(body); m != nil {
		body = bodies(t, m[1])
	} else {
		body = expand(body)
	}
	var req bytes.Buffer
	for _, l := range head {
		l = strings.ReplaceAll(expand(l), "{length}", strconv.Itoa(len(body)))
		req.WriteString(strings.NewReplacer("{host}", addr, "{long}", strings.Repeat("x", 30000)).Replace(l) + "\r\n")
	}
	req.WriteString("\r\n" + body)
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	go conn.Write(req.Bytes()) // the server may answer before it has read all
	method, _, _ := strings.Cut(lines[0], " ")
	resp, err := http.ReadResponse(bufio.NewReader(conn), &http.Request{Method: method})
	if err != nil {
		t.Fatalf("%s: %v", lines[0], err)
	}
	defer resp.Body.Close()
	b, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s: %v", lines[0], err)
	}
	out := []string{"< HTTP/1.1 " + resp.Status}
	resp.Header.Del("Date")
	for k, v := range resp.Header {
		if len(v) != 1 {
			out = append(out, fmt.Sprintf("< TWICE %s: %q", k, v))
		}
	}
	take := func(k, v string) string {
		got := resp.Header.Get(k)
		if got == v {
			resp.Header.Del(k)
		}
		return got
	}
	for k, v := range map[string]string{
		"Access-Control-Allow-Origin":   "*",
		"Access-Control-Expose-Headers": "Content-Length, Content-Location, ETag, Location, Retry-After",
		"X-Content-Type-Options":        "nosniff",
	} {
		if take(k, v) != v {
			out = append(out, "< MISSING "+k+": "+v)
		}
	}
	policy := take("Content-Security-Policy", "sandbox")
	resources := take("Cross-Origin-Resource-Policy", "cross-origin")
	referrer := take("Referrer-Policy", "no-referrer")
	switch {
	case policy+resources+referrer == "":
		out = append(out, "< UNCONFINED")
	case policy == "" || resources != "cross-origin" || referrer != "no-referrer":
		out = append(out, fmt.Sprintf("< HALF CONFINED: %q, %q, %q", policy, resources, referrer))
	}
	if resp.Close {
		out = append(out, "< Connection: close")
	}
	if len(resp.TransferEncoding) > 0 {
		out = append(out, "< Transfer-Encoding: chunked")
	}
	var headers []string
	for k, vs := range resp.Header {
		for _, v := range vs {
			headers = append(headers, "< "+k+": "+v)
		}
	}
	slices.Sort(headers)
	out = append(out, headers...)
	if len(b) == 0 {
		return out
	}
	out = append(out, "<")
	for l := range strings.Lines(printable(resp.Header.Get("Content-Type"), b)) {
		out = append(out, "< "+strings.TrimSuffix(l, "\n"))
	}
	return out
}

// printable is a body as it stands in a table: a CAR as the list of its blocks.
func printable(contentType string, b []byte) string {
	if strings.HasPrefix(contentType, comntr.CARType) {
		var s strings.Builder
		root, err := comntr.ReadCAR(bytes.NewReader(b), 1<<30, func(c cid.Cid, block []byte) error {
			fmt.Fprintf(&s, "block %s %d bytes\n", c, len(block))
			return nil
		})
		if err != nil {
			return fmt.Sprintf("%q", b)
		}
		return fmt.Sprintf("CAR root %s\n%s", root, &s)
	}
	if strings.HasPrefix(contentType, "text/html") {
		return fmt.Sprintf("a page, %v", bytes.HasPrefix(b, []byte("<!doctype html>")))
	}
	if !utf8.Valid(b) || bytes.ContainsFunc(b, func(r rune) bool { return r < ' ' && r != '\n' }) {
		return fmt.Sprintf("%q", b)
	}
	return string(b)
}

// bodies are those that cannot stand in a text file, or that must be signed.
func bodies(t *testing.T, name string) string {
	place := comntr.Place{Community: reddit, Topic: news}
	signed := string(sign(seed, place, "Date: 2026-11-22T10:00:00Z\nUser: Alice\n", "Signed, sealed."))
	switch name {
	case "64 KiB":
		return strings.Repeat("a", comntr.MaxDocument)
	case "64 KiB and a byte":
		return strings.Repeat("a", comntr.MaxDocument+1)
	case "a MiB":
		return strings.Repeat("a", 1<<20)
	case "a MiB in chunks":
		return "100000\r\n" + strings.Repeat("a", 1<<20) + "\r\n0\r\n\r\n"
	case "chunks":
		return "3\r\nCoo\r\n2\r\nl!\r\n0\r\n\r\n"
	case "malformed chunks":
		return "3\r\nCoo\r\nno number\r\nl!\r\n0\r\n\r\n"
	case "shattered":
		b, err := os.ReadFile("testdata/shattered.bin")
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	case "not UTF-8":
		return "Cool\xff!"
	case "NUL":
		return "Cool\x00!"
	case "signed":
		return signed
	case "signed, changed":
		return strings.Replace(signed, "sealed", "opened", 1)
	case "signed, grammar":
		return strings.Replace(signed, "User: Alice", "User:Alice", 1)
	case "signed, for gifs":
		return string(sign(seed, comntr.Place{Community: reddit, Topic: comntr.NameHash("/r/gifs")}, "", "Elsewhere."))
	case "signed, of 2999":
		return string(sign(seed, place, "Date: 2999-01-01T00:00:00Z\n", "From the future."))
	case "signed, 8 bits", "signed, 7 bits":
		bits, _ := strconv.Atoi(strings.Fields(name)[1])
		for i := 0; ; i++ { // exactly as many
			b := sign(seed, place, fmt.Sprintf("Nonce: %d\n", i), "Paid.")
			if doc, err := comntr.ParseDocument(place, b); err == nil && doc.Work() == bits {
				return string(b)
			}
		}
	case "513 CIDs":
		return strings.Repeat("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn\n", comntr.MaxBlockCIDs+1)
	case "70 KB of CIDs":
		return strings.Repeat("QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn\n", 1500)
	}
	t.Fatalf("no body %q", name)
	return ""
}

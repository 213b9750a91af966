package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"net/http"
	"net/http/httptest"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

// browser is a headless Chromium, spoken to by the DevTools protocol over a
// pipe: JSON messages, each ended by a NUL.
type browser struct {
	t       testing.TB
	to      *os.File
	from    *bufio.Reader
	id      int
	session string // the tab's
}

func startBrowser(t *testing.T) *browser {
	t.Helper()
	needs(t, "chromium")
	theirIn, to, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	from, theirOut, err := os.Pipe()
	if err != nil {
		t.Fatal(err)
	}
	profile := t.TempDir()
	cmd := exec.Command("chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--no-first-run",
		"--disable-background-networking", "--disable-component-update", "--no-proxy-server",
		"--remote-debugging-pipe", "--user-data-dir="+profile, "about:blank")
	cmd.Env = append(os.Environ(), "HOME="+profile)
	cmd.ExtraFiles = []*os.File{theirIn, theirOut} // 3 and 4
	stderr := &tail{}
	cmd.Stderr = stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	theirIn.Close()
	theirOut.Close()
	late := time.AfterFunc(2*time.Minute, func() { cmd.Process.Kill() }) // ends the pipe, and so every wait
	t.Cleanup(func() {
		late.Stop()
		to.Close() // ends Chromium and all that it started
		cmd.Wait()
		from.Close()
		if t.Failed() {
			t.Logf("chromium: %s", stderr)
		}
	})
	b := &browser{t: t, to: to, from: bufio.NewReader(from)}
	var target struct{ TargetID string }
	b.call("Target.createTarget", map[string]any{"url": "about:blank"}, &target)
	var session struct{ SessionID string }
	b.call("Target.attachToTarget", map[string]any{"targetId": target.TargetID, "flatten": true}, &session)
	b.session = session.SessionID
	return b
}

// call sends a command and waits for its result.
func (b *browser) call(method string, params any, result any) {
	b.t.Helper()
	b.id++
	m := map[string]any{"id": b.id, "method": method, "params": params}
	if b.session != "" {
		m["sessionId"] = b.session
	}
	text, err := json.Marshal(m)
	if err != nil {
		b.t.Fatal(err)
	}
	if _, err := b.to.Write(append(text, 0)); err != nil {
		b.t.Fatalf("%s: %v", method, err)
	}
	for {
		text, err := b.from.ReadBytes(0)
		if err != nil {
			b.t.Fatalf("%s: %v", method, err)
		}
		var answer struct {
			ID     int
			Result json.RawMessage
			Error  *struct{ Message string }
		}
		if err := json.Unmarshal(bytes.TrimSuffix(text, []byte{0}), &answer); err != nil {
			b.t.Fatal(err)
		}
		if answer.ID != b.id {
			continue // an event
		}
		if answer.Error != nil {
			b.t.Fatalf("%s: %s", method, answer.Error.Message)
		}
		if result != nil {
			if err := json.Unmarshal(answer.Result, result); err != nil {
				b.t.Fatal(err)
			}
		}
		return
	}
}

// run evaluates an async function in the page, with an argument, and returns
// what it returns; what it throws is the error.
func (b *browser) run(function string, arg, result any) error {
	b.t.Helper()
	text, err := json.Marshal(arg)
	if err != nil {
		b.t.Fatal(err)
	}
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails *struct {
			Text      string
			Exception struct{ Description, ClassName string }
		}
	}
	b.call("Runtime.evaluate", map[string]any{
		"expression": fmt.Sprintf("(%s)(%s)", function, text), "awaitPromise": true, "returnByValue": true,
	}, &answer)
	if e := answer.ExceptionDetails; e != nil {
		return errors.New(e.Text + " " + e.Exception.Description + e.Exception.ClassName)
	}
	if result == nil {
		return nil
	}
	return json.Unmarshal(answer.Result.Value, result)
}

// TestE2EWebTransport: a page on https reads and writes a server that has an
// address alone, by the hashes in the server's hello.
func TestE2EWebTransport(t *testing.T) {
	e2e(t)
	b := startBrowser(t)
	data := t.TempDir()
	s := serve(t, data)
	postAll(t, s, 500, 1)
	place, first := comment(0, 0)
	h, err := s.client.Hello(context.Background())
	if err != nil {
		t.Fatal(err)
	}
	if h.WebTransport == nil || !strings.HasSuffix(s.webTransport, fmt.Sprintf(":%d", h.WebTransport.Port)) {
		t.Fatalf("the hello names %+v, the server is at %s", h.WebTransport, s.webTransport)
	}

	page := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "text/html")
		io.WriteString(w, "<!doctype html><title>a page on https</title>")
	}))
	page.Config.ErrorLog = log.New(io.Discard, "", 0) // Chromium tries before it is told to ignore errors
	page.StartTLS()
	defer page.Close()
	// It is the page's own certificate that nobody vouches for; the server's
	// counts by its hash alone, as the other hash below shows.
	b.call("Security.setIgnoreCertificateErrors", map[string]any{"ignore": true}, nil)
	b.call("Page.enable", map[string]any{}, nil)
	b.call("Page.navigate", map[string]any{"url": page.URL}, nil)
	var secure bool
	eventually(t, time.Minute, func() error {
		if err := b.run(`async () => location.protocol === "https:" && isSecureContext`, nil, &secure); err != nil || !secure {
			return fmt.Errorf("the page is not there: %v", err)
		}
		return nil
	})

	const lib = `
	const open = async ({url, hashes}) => {
		const value = hex => Uint8Array.from(hex.match(/../g), x => parseInt(x, 16))
		const wt = new WebTransport(url, {serverCertificateHashes: hashes.map(h => ({algorithm: "sha-256", value: value(h)}))})
		wt.closed.catch(() => {})
		await wt.ready
		return wt
	}
	const ask = async (wt, method, path, headers = {}, body = "") => {
		const stream = await wt.createBidirectionalStream()
		const text = new TextEncoder()
		const head = text.encode(JSON.stringify({method, path, headers}))
		const writer = stream.writable.getWriter()
		writer.write(new Uint8Array([head.length >> 8, head.length & 255, ...head, ...text.encode(body)])).catch(() => {})
		writer.close().catch(() => {})
		const all = new Uint8Array(await new Response(stream.readable).arrayBuffer())
		const end = 2 + (all[0] << 8 | all[1])
		return {...JSON.parse(new TextDecoder().decode(all.subarray(2, end))), body: all.subarray(end)}
	}
	const base64 = bytes => { let s = ""; for (const b of bytes) s += String.fromCharCode(b); return btoa(s) }
	`
	arg := map[string]any{
		"url":    s.webTransport + comntr.WebTransportPath,
		"hashes": []string{h.WebTransport.Hashes[0].SHA256, h.WebTransport.Hashes[1].SHA256},
		"topic":  "/" + place.String(),
		"nonce":  strings.Repeat("5c", 32),
	}
	var got struct {
		CAR, Hello string // base64
		Type       string
		Posted     int
		Events     string
		IDs        int
		MS         float64
	}
	err = b.run(`async arg => {`+lib+`
		const wt = await open(arg)
		const start = performance.now()
		const car = await ask(wt, "GET", arg.topic, {accept: "application/vnd.ipld.car"})
		const ms = performance.now() - start
		const hello = await ask(wt, "GET", "/.well-known/comntr.json?nonce=" + arg.nonce)
		// A stream of events stays open beside 63 others at once, twice.
		const events = await wt.createBidirectionalStream()
		const head = new TextEncoder().encode(JSON.stringify({method: "GET", path: "/events"}))
		const writer = events.writable.getWriter()
		await writer.write(new Uint8Array([0, head.length, ...head]))
		const reader = events.readable.pipeThrough(new TextDecoderStream()).getReader()
		let told = (await reader.read()).value
		const asks = () => Promise.all(Array.from({length: 63}, () => ask(wt, "GET", arg.topic)))
		const many = [...await asks(), ...await asks()]
		const post = await ask(wt, "POST", arg.topic, {}, "From a page.")
		while (!told.includes("event: comment")) told += (await reader.read()).value
		await reader.cancel()
		wt.close()
		return {CAR: base64(car.body), Type: car.headers["content-type"], Hello: base64(hello.body), Posted: post.status,
			Events: told, IDs: many.filter(a => a.status === 200 && a.body.length > 40).length, MS: ms}
	}`, arg, &got)
	if err != nil {
		t.Fatal(err)
	}
	car, err := base64.StdEncoding.DecodeString(got.CAR)
	if err != nil {
		t.Fatal(err)
	}
	blocks := 0
	if _, err := comntr.ReadCAR(bytes.NewReader(car), 64<<20, func(cid.Cid, []byte) error { blocks++; return nil }); err != nil {
		t.Fatal(err)
	}
	if blocks < 500 || !bytes.Contains(car, first) || !strings.HasPrefix(got.Type, comntr.CARType) {
		t.Errorf("%d blocks, %s", blocks, got.Type)
	}
	t.Logf("%d bytes of CAR in %.0f ms", len(car), got.MS)
	hello, err := base64.StdEncoding.DecodeString(got.Hello)
	if err != nil {
		t.Fatal(err)
	}
	nonce, err := hex.DecodeString(arg["nonce"].(string))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := comntr.OpenHello(hello, [32]byte(nonce), s.webTransport, time.Now()); err != nil {
		t.Errorf("the hello over WebTransport: %v", err)
	}
	if got.Posted != http.StatusCreated || got.IDs != 126 || !strings.Contains(got.Events, comntr.NameHash("From a page.").String()) {
		t.Errorf("posted: %d, %d answers at once, events %q", got.Posted, got.IDs, got.Events)
	}
	if text, err := s.client.Comment(context.Background(), place, comntr.NameHash("From a page.")); err != nil || string(text) != "From a page." {
		t.Errorf("what the page posted: %q %v", text, err)
	}

	// Another hash, and a page cannot connect; the right one, and it can, after
	// a restart too.
	file := filepath.Join(data, ".comntr", "webtransport")
	if info, err := os.Stat(file); err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("the certificates' keys can be read by others: %v %v", info, err)
	}
	s.stop()
	s = serve(t, data)
	const try = `async arg => {` + lib + ` const wt = await open(arg); const a = await ask(wt, "GET", arg.topic); wt.close(); return a.status }`
	arg["url"] = s.webTransport + comntr.WebTransportPath
	var status int
	if err := b.run(try, arg, &status); err != nil || status != http.StatusOK {
		t.Errorf("after a restart: %d %v", status, err)
	}
	arg["hashes"] = []string{strings.Repeat("00", 32)}
	if err := b.run(try, arg, &status); err == nil || !strings.Contains(err.Error(), "WebTransportError") {
		t.Errorf("with another hash: %d %v", status, err)
	}
}

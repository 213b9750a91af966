package discover_test

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"runtime"
	"testing"

	"github.com/pion/webrtc/v4"

	"github.com/comntr/comntr"
)

// big is an answer of 4 MiB, as a large topic's CAR.
var big = http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
	if r.URL.Path == "/small" {
		io.WriteString(w, "Cool!")
		return
	}
	b := make([]byte, 16<<10)
	for range 256 {
		w.Write(b)
	}
})

// BenchmarkRTCThroughput is a large answer over a data channel, and over TCP.
func BenchmarkRTCThroughput(b *testing.B) {
	get := func(b *testing.B, c *http.Client, url string) {
		b.SetBytes(4 << 20)
		for b.Loop() {
			resp, err := c.Get(url)
			if err != nil {
				b.Fatal(err)
			}
			if n, err := io.Copy(io.Discard, resp.Body); n != 4<<20 || err != nil {
				b.Fatal(n, err)
			}
			resp.Body.Close()
		}
	}
	b.Run("WebRTC", func(b *testing.B) {
		r := serveRTC(b, big)
		c := dialRTC(b, r.Answer, nil)
		c.start(reddit, nil)
		get(b, c.http(), "http://rtc/")
	})
	b.Run("TCP", func(b *testing.B) {
		l := must(net.Listen("tcp", "127.0.0.1:0"))
		s := &http.Server{Handler: big}
		go s.Serve(l)
		defer s.Close()
		get(b, http.DefaultClient, "http://"+l.Addr().String())
	})
}

// BenchmarkRTCRequest is one small request on a connection that stands.
func BenchmarkRTCRequest(b *testing.B) {
	r := serveRTC(b, big)
	c := dialRTC(b, r.Answer, nil)
	c.start(reddit, nil)
	for b.Loop() {
		c.get("/small")
	}
}

// BenchmarkRTCConnect is from the offer to an answer's first byte, hello and
// all, which includes making the offer.
func BenchmarkRTCConnect(b *testing.B) {
	r := serveRTC(b, big)
	nonce := sum256("nonce")
	for b.Loop() {
		c := dialRTC(b, r.Answer, nil)
		c.start(reddit, nonce[:])
		c.get("/small")
		c.pc.Close()
	}
}

// BenchmarkRTCMemory is what an idle connection costs the server. The other
// ends are another process, or they would be counted.
func BenchmarkRTCMemory(b *testing.B) {
	const n = 100
	if os.Getenv("COMNTR_RTC_ASKERS") != "" {
		askers(b, n)
		return
	}
	r := serveRTC(b, big)
	used := func() uint64 {
		runtime.GC()
		runtime.GC()
		var m runtime.MemStats
		runtime.ReadMemStats(&m)
		return m.HeapAlloc + m.StackInuse
	}
	for b.Loop() {
		before, goroutines := used(), runtime.NumGoroutine()
		_, others := r.Connections()
		cmd := exec.Command(os.Args[0], "-test.run", "^$", "-test.bench", "^BenchmarkRTCMemory$", "-test.benchtime", "1x")
		cmd.Env = append(os.Environ(), "COMNTR_RTC_ASKERS=1")
		in, out := must(cmd.StdinPipe()), must(cmd.StdoutPipe())
		if err := cmd.Start(); err != nil {
			b.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for answered := 0; answered < n && lines.Scan(); {
			var offer string
			if json.Unmarshal(lines.Bytes(), &offer) != nil {
				continue // testing's own
			}
			answer, err := r.Answer(b.Context(), offer)
			if err != nil {
				b.Fatal(err)
			}
			fmt.Fprintf(in, "%s\n", must(json.Marshal(answer)))
			answered++
		}
		for lines.Scan() && lines.Text() != "ready" {
		}
		if _, open := r.Connections(); open-others != n {
			b.Fatalf("%d connections are open", open-others)
		}
		b.ReportMetric(float64(used()-before)/n, "B/connection")
		b.ReportMetric(float64(runtime.NumGoroutine()-goroutines)/n, "goroutines/connection")
		in.Close()
		io.Copy(io.Discard, out)
		cmd.Wait()
	}
}

// askers is the other process: it prints offers, reads answers, and holds the
// connections until its standard input ends.
func askers(b *testing.B, n int) {
	lines := bufio.NewScanner(os.Stdin)
	for range n {
		pc, dc, offer, _ := rtcOffer(b, nil, nil)
		fmt.Printf("%s\n", must(json.Marshal(offer)))
		opened := make(chan *rtcClient, 1)
		dc.OnOpen(func() {
			raw, err := dc.Detach()
			if err != nil {
				panic(err)
			}
			opened <- &rtcClient{t: b, pc: pc, raw: raw, in: &chunkReader{r: raw, buf: make([]byte, 64<<10)},
				number: comntr.WireExtension, answers: map[uint32]*rtcAnswer{}, done: make(chan struct{}), greeted: make(chan comntr.ExtendedHandshake, 1)}
		})
		lines.Scan()
		var answer string
		if err := json.Unmarshal(lines.Bytes(), &answer); err != nil {
			b.Fatal(err)
		}
		if err := pc.SetRemoteDescription(webrtc.SessionDescription{Type: webrtc.SDPTypeAnswer, SDP: answer}); err != nil {
			b.Fatal(err)
		}
		c := <-opened
		c.start(reddit, nil)
		c.get("/small")
	}
	fmt.Println("ready")
	for lines.Scan() {
	}
	os.Exit(0)
}

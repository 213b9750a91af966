package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comntr/comntr"
)

// TestBenchStops: Ctrl-C ends it at once, with what it has.
func TestBenchStops(t *testing.T) {
	s := serve(t, t.TempDir())
	cmd := comntrCmd(t, "bench", "--server", s.http, "--seconds", "600", "--clients", "4")
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, time.Minute, func() error {
		id, err := s.client.Root(context.Background(), comntr.NameHash("reddit"))
		if err == nil && id.String() == "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn" { // empty
			err = errors.New("nothing was posted yet")
		}
		return err
	})
	cmd.Process.Signal(os.Interrupt)
	if err := cmd.Wait(); err != nil {
		t.Errorf("%v: %s", err, &stderr)
	}
	for _, want := range []string{" a second: ", "p99", "stopped: the figures are of what was done until then\n"} {
		if !strings.Contains(stdout.String(), want) {
			t.Errorf("no %q in\n%s", want, &stdout)
		}
	}
	if strings.Contains(stdout.String(), "GET") {
		t.Errorf("it went on:\n%s", &stdout)
	}
}

// TestBenchTime: percentiles, pace, refusals and bounds of a part, in a time that
// is as exact as it is made.
func TestBenchTime(t *testing.T) {
	type call struct{ client, n int }
	for _, c := range []struct {
		name    string
		clients int
		most    int
		do      func(call) outcome // after as long as it says that it took
		check   func(t *testing.T, r result)
	}{
		{"all the same", 4, 1e6, func(call) outcome { return outcome{took: 10 * time.Millisecond, sent: 3, received: 5} }, func(t *testing.T, r result) {
			if r.done != 4000 || r.took != 10*time.Second || r.pace() != 400 || r.sent != 12000 || r.received != 20000 || len(r.refusals) != 0 || r.full {
				t.Errorf("%+v", r)
			}
			if r.within(50) != 10*time.Millisecond || r.within(100) != 10*time.Millisecond {
				t.Errorf("p50 %s, max %s", r.within(50), r.within(100))
			}
		}},
		{"one to a hundred ms", 1, 100, func(c call) outcome { return outcome{took: time.Duration(100-c.n) * time.Millisecond} }, func(t *testing.T, r result) {
			for percent, want := range map[int]time.Duration{1: 1, 50: 50, 90: 90, 99: 99, 100: 100} {
				if got := r.within(percent); got != want*time.Millisecond {
					t.Errorf("p%d is %s, want %d ms", percent, got, want)
				}
			}
		}},
		{"a bound", 8, 20, func(call) outcome { return outcome{took: time.Second} }, func(t *testing.T, r result) {
			if r.done != 20 || !r.full {
				t.Errorf("%d were done, full %v", r.done, r.full)
			}
		}},
		{"the last one is finished", 1, 1e6, func(call) outcome { return outcome{took: 4 * time.Second} }, func(t *testing.T, r result) {
			if r.done != 3 || r.took != 12*time.Second {
				t.Errorf("%d in %s", r.done, r.took)
			}
		}},
		{"refusals are waited for", 1, 1e6, func(c call) outcome { return outcome{refusal: "rate-limited", wait: 3 * time.Second} }, func(t *testing.T, r result) {
			if r.done != 0 || r.refusals["rate-limited"] != 4 || r.took != 10*time.Second || r.tried() != 4 {
				t.Errorf("%+v", r)
			}
		}},
		{"refusals that name no time too", 1, 1e6, func(c call) outcome { return outcome{refusal: "full"} }, func(t *testing.T, r result) {
			if r.refusals["full"] != 100 {
				t.Errorf("%+v", r)
			}
		}},
		{"reasons without an end", 100, 1e6, func(c call) outcome { return outcome{refusal: fmt.Sprint(c), wait: time.Hour} }, func(t *testing.T, r result) {
			if len(r.refusals) != maxReasons+1 || r.refusals["other"] != 100-maxReasons {
				t.Errorf("%v", r.refusals)
			}
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				l := newLoad("http://127.0.0.1:1", c.clients, 10*time.Second)
				c.check(t, l.run(t.Context(), c.most, func(ctx context.Context, client, n int) outcome {
					o := c.do(call{client, n})
					time.Sleep(o.took)
					return o
				}))
			})
		})
	}
}

// TestBenchHostile: what a server answers is bounded, and nothing of it reaches
// the terminal as it is.
func TestBenchHostile(t *testing.T) {
	var asked atomic.Int64
	reasons := map[string]bool{}
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		switch asked.Add(1) % 5 {
		case 0:
			http.Redirect(w, r, "http://192.0.2.1/", http.StatusFound)
		case 1:
			w.WriteHeader(http.StatusTeapot)
			io.WriteString(w, `{"code":"\u001b[2Jgone","retryAfter":1000000}`)
		case 2:
			w.WriteHeader(http.StatusTooManyRequests)
			io.WriteString(w, `{"code":"rate-limited","retryAfter":-1000000000000}`)
		case 3:
			w.WriteHeader(http.StatusOK)
			for range 1000 {
				if _, err := w.Write(make([]byte, 10_000)); err != nil {
					return
				}
			}
		case 4:
			panic(http.ErrAbortHandler)
		}
	}))
	defer s.Close()
	l := newLoad(s.URL, 1, time.Minute)
	defer l.close()
	for range 10 {
		a, err := l.ask(t.Context(), "GET", "/", "", nil)
		o := judge(a, 0, err, http.StatusOK)
		if a.bytes > maxBenchAnswer || o.wait < 0 || o.wait > maxBenchTime {
			t.Errorf("%+v", o)
		}
		reasons[o.refusal] = true
	}
	want := []string{"", "HTTP 302", "HTTP 418", "connection failed", "rate-limited"}
	var got []string
	for r := range reasons {
		got = append(got, r)
	}
	if slices.Sort(got); !slices.Equal(got, want) {
		t.Errorf("%q, want %q", got, want)
	}
}

func TestOnThisMachine(t *testing.T) {
	for origin, want := range map[string]bool{
		"http://127.0.0.1:4080": true, "http://[::1]:4080": true, "http://localhost:4080": true, "https://localhost": true,
		"http://192.0.2.1:4080": false, "http://10.0.0.1": false, "https://example.org": false, "http://localhost.example.org": false, "http://0.0.0.0:4080": false,
	} {
		if got := onThisMachine(origin); got != want {
			t.Errorf("%s: %v", origin, got)
		}
	}
}

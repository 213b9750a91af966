package main

import (
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"net"
	"net/http"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"github.com/comntr/comntr"
)

// Bounds of what a server that is measured makes its measurer hold and wait for.
const (
	benchAnswerTime = 30 * time.Second
	maxBenchAnswer  = 64 << 10 // bytes read of one answer, of which nothing is kept
	maxBenchHeaders = 16 << 10
	maxReasons      = 16 // told apart; the rest are "other"
	// refusedRest is how long a client rests at least after a refusal: how fast a
	// server refuses is not what is measured.
	refusedRest = 100 * time.Millisecond
)

// load asks one server over as many connections as there are clients.
type load struct {
	origin  string
	clients int
	time    time.Duration
	http    *http.Client
}

func newLoad(origin string, clients int, d time.Duration) *load {
	return &load{origin: origin, clients: clients, time: d, http: &http.Client{
		Timeout: benchAnswerTime,
		Transport: &http.Transport{
			MaxConnsPerHost:        clients,
			MaxIdleConnsPerHost:    clients,
			MaxResponseHeaderBytes: maxBenchHeaders,
			DisableCompression:     true,
		},
		CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse },
	}}
}

func (l *load) close() { l.http.CloseIdleConnections() }

// act is the nth thing that a client does.
type act func(ctx context.Context, client, n int) outcome

// outcome is what became of one.
type outcome struct {
	took           time.Duration // until the whole answer was there
	sent, received int           // bytes of bodies
	refusal        string        // "" for what counts, else why it does not
	wait           time.Duration // as the server wants it before the next
}

// result is what a part found.
type result struct {
	took           time.Duration // of the whole part
	done           int
	sent, received int64    // bytes of bodies of what was done
	times          []uint32 // in microseconds, ascending
	refusals       map[string]int
	full           bool // a bound ended it, not the time
}

func (r result) pace() float64 { return float64(r.done) / max(r.took.Seconds(), 1e-9) }

// tried is how many there were, whatever became of them.
func (r result) tried() int {
	n := r.done
	for _, m := range r.refusals {
		n += m
	}
	return n
}

// within is the time in which that percentage were answered; there is at least
// one.
func (r result) within(percent int) time.Duration {
	i := int(math.Ceil(float64(percent)/100*float64(len(r.times)))) - 1
	d := time.Duration(r.times[max(i, 0)]) * time.Microsecond
	switch {
	case d < time.Millisecond:
		return d.Round(10 * time.Microsecond)
	case d < time.Second:
		return d.Round(100 * time.Microsecond)
	}
	return d.Round(10 * time.Millisecond)
}

// run has all clients act again and again until the time is over, most acts were
// begun, or ctx ends. What is under way when the time is over is finished and
// counts; when ctx ends it does not.
func (l *load) run(ctx context.Context, most int, do act) result {
	var begun atomic.Int64
	parts := make([]result, l.clients)
	var wg sync.WaitGroup
	start := time.Now()
	end := start.Add(l.time)
	for client := range parts {
		r := &parts[client]
		r.refusals = map[string]int{}
		wg.Go(func() {
			for n := 0; ctx.Err() == nil && time.Now().Before(end); n++ {
				if begun.Add(1) > int64(most) {
					r.full = true
					return
				}
				o := do(ctx, client, n)
				switch {
				case ctx.Err() != nil:
					return
				case o.refusal != "":
					r.refusals[o.refusal]++
					if rest(ctx, min(max(o.wait, refusedRest), time.Until(end))) != nil {
						return
					}
				default:
					r.done++
					r.sent += int64(o.sent)
					r.received += int64(o.received)
					r.times = append(r.times, uint32(min(o.took.Microseconds(), math.MaxUint32)))
				}
			}
		})
	}
	wg.Wait()
	all := result{took: time.Since(start), refusals: map[string]int{}}
	for _, r := range parts {
		all.done += r.done
		all.sent += r.sent
		all.received += r.received
		all.times = append(all.times, r.times...)
		all.full = all.full || r.full
		for reason, n := range r.refusals {
			if _, ok := all.refusals[reason]; !ok && len(all.refusals) >= maxReasons {
				reason = "other"
			}
			all.refusals[reason] += n
		}
	}
	slices.Sort(all.times)
	return all
}

// rest waits, or returns why ctx ended.
func rest(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return ctx.Err()
	}
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-ctx.Done():
		return ctx.Err()
	}
}

// answer is one of the server's.
type answer struct {
	status  int
	etag    string
	bytes   int
	problem *comntr.Problem // where it refuses
	took    time.Duration
}

// ask sends a request and reads its answer to the end.
func (l *load) ask(ctx context.Context, method, path, etag string, body []byte) (a answer, err error) {
	var in io.Reader
	if body != nil {
		in = bytes.NewReader(body)
	}
	r, err := http.NewRequestWithContext(ctx, method, l.origin+path, in)
	if err != nil {
		return a, err
	}
	r.Header.Set("User-Agent", "comntr bench")
	r.Header.Set("Accept", "text/plain")
	if etag != "" {
		r.Header.Set("If-None-Match", etag)
	}
	start := time.Now()
	w, err := l.http.Do(r)
	if err != nil {
		return a, err
	}
	defer w.Body.Close()
	if w.StatusCode < 400 {
		n, err := io.Copy(io.Discard, io.LimitReader(w.Body, maxBenchAnswer))
		return answer{status: w.StatusCode, etag: w.Header.Get("Etag"), bytes: int(n), took: time.Since(start)}, err
	}
	b, err := io.ReadAll(io.LimitReader(w.Body, maxBenchAnswer))
	if err != nil {
		return a, err
	}
	p := &comntr.Problem{}
	if json.Unmarshal(b, p) != nil || !isCode(p.Code) {
		p = &comntr.Problem{Code: fmt.Sprint("HTTP ", w.StatusCode)}
	}
	return answer{status: w.StatusCode, problem: p, bytes: len(b), took: time.Since(start)}, nil
}

// isCode reports whether a word of a server looks like a problem's code: else
// it could be anything on somebody's terminal.
func isCode(s string) bool {
	if s == "" || len(s) > 40 {
		return false
	}
	for _, c := range s {
		if (c < 'a' || c > 'z') && (c < '0' || c > '9') && c != '-' {
			return false
		}
	}
	return true
}

// judge tells what an answer counts for, where these statuses are wanted.
func judge(a answer, sent int, err error, want ...int) outcome {
	o := outcome{took: a.took, sent: sent, received: a.bytes}
	var e net.Error
	switch {
	case errors.Is(err, os.ErrDeadlineExceeded), errors.As(err, &e) && e.Timeout():
		o.refusal = "no answer in time"
	case err != nil:
		o.refusal, o.wait = "connection failed", time.Second
	case a.problem != nil:
		o.refusal = a.problem.Code
		o.wait = time.Duration(min(max(a.problem.RetryAfter, 0), int(maxBenchTime.Seconds()))) * time.Second
	case !slices.Contains(want, a.status):
		o.refusal = fmt.Sprint("HTTP ", a.status)
	}
	return o
}

// get reads a small answer.
func (l *load) get(ctx context.Context, path string, most int64) ([]byte, error) {
	r, err := http.NewRequestWithContext(ctx, "GET", l.origin+path, nil)
	if err != nil {
		return nil, err
	}
	w, err := l.http.Do(r)
	if err != nil {
		return nil, err
	}
	defer w.Body.Close()
	if w.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("the answer was HTTP %d", w.StatusCode)
	}
	return io.ReadAll(io.LimitReader(w.Body, most))
}

// poster posts comments, and pays the work that the server asks for.
type poster struct {
	load   *load
	places []comntr.Place
	run    string
	bytes  int
	keys   []ed25519.PrivateKey // of each client, used where work is to be paid
	bits   atomic.Int64         // that the server wanted last

	payments atomic.Int64
	most     atomic.Int64 // bits that were paid
	paying   atomic.Int64 // nanoseconds
}

func newPoster(l *load, places []comntr.Place, run string, size, bits, clients int) (*poster, error) {
	p := &poster{load: l, places: places, run: run, bytes: size, keys: make([]ed25519.PrivateKey, clients)}
	p.bits.Store(int64(bits))
	for i := range p.keys {
		var err error
		if _, p.keys[i], err = ed25519.GenerateKey(nil); err != nil {
			return nil, err
		}
	}
	return p, nil
}

// text is a comment that says what it is, and that no other is like.
func (p *poster) text(client, n int) []byte {
	b := fmt.Appendf(make([]byte, 0, p.bytes), "comntr bench %s: client %d, comment %d ", p.run, client, n)
	for len(b) < p.bytes {
		b = append(b, '.')
	}
	return b
}

// post is an act.
func (p *poster) post(ctx context.Context, client, n int) outcome {
	place := p.places[(n*len(p.keys)+client)%len(p.places)]
	text := p.text(client, n)
	for tries := 0; ; tries++ {
		doc := text
		if bits := int(p.bits.Load()); bits > 0 && bits <= maxBenchWork {
			signed, err := p.pay(ctx, place, client, text, bits)
			if err != nil {
				return outcome{refusal: "work not paid"}
			}
			doc = signed
		}
		a, err := p.load.ask(ctx, "POST", "/"+place.String(), "", doc)
		o := judge(a, len(doc), err, http.StatusCreated, http.StatusOK)
		if o.refusal == comntr.CodeWorkNeeded && a.problem.Work > 0 && a.problem.Work <= maxBenchWork && tries < maxPayments {
			p.bits.Store(int64(a.problem.Work))
			continue
		}
		return o
	}
}

// pay signs a text with that much work.
func (p *poster) pay(ctx context.Context, place comntr.Place, client int, text []byte, bits int) ([]byte, error) {
	start := time.Now()
	doc, err := comntr.Draft{Place: place, Date: start, Body: text}.SignWithWork(ctx, p.keys[client], bits, nil)
	if err != nil {
		return nil, err
	}
	p.payments.Add(1)
	p.paying.Add(int64(time.Since(start)))
	for most := p.most.Load(); int64(bits) > most && !p.most.CompareAndSwap(most, int64(bits)); most = p.most.Load() {
	}
	return doc.Bytes(), nil
}

// paid is what was paid: bits at most, by how many comments, for how long.
func (p *poster) paid() (bits int, comments int64, took time.Duration) {
	return int(p.most.Load()), p.payments.Load(), time.Duration(p.paying.Load())
}

// topics are paths that answered, and the tags of their present folders.
type topics struct {
	load  *load
	paths []string
	tags  []string
}

// learn reads each topic once, and leaves out those that give nothing.
func (l *load) learn(ctx context.Context, places []comntr.Place) *topics {
	paths, tags := make([]string, len(places)), make([]string, len(places))
	var next atomic.Int64
	var wg sync.WaitGroup
	for range min(l.clients, len(places)) {
		wg.Go(func() {
			for i := next.Add(1) - 1; i < int64(len(places)); i = next.Add(1) - 1 {
				path := "/" + places[i].String()
				if a, err := l.ask(ctx, "GET", path, "", nil); err == nil && a.status == http.StatusOK && a.etag != "" {
					paths[i], tags[i] = path, a.etag
				}
			}
		})
	}
	wg.Wait()
	none := func(s string) bool { return s == "" }
	return &topics{l, slices.DeleteFunc(paths, none), slices.DeleteFunc(tags, none)}
}

// get is an act: it reads one topic after another, with its tag where that is to
// be answered by 304.
func (t *topics) get(want int) act {
	return func(ctx context.Context, client, n int) outcome {
		i := (n*t.load.clients + client) % len(t.paths)
		tag := ""
		if want == http.StatusNotModified {
			tag = t.tags[i]
		}
		a, err := t.load.ask(ctx, "GET", t.paths[i], tag, nil)
		return judge(a, 0, err, want)
	}
}

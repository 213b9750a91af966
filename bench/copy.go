package main

import (
	"fmt"
	"math/rand/v2"
	"net"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

// Rows 9 to 11: two servers. Each is told of the other by --peer, as an operator
// does for servers of his own.

const (
	copyParts    = 5 // of the one copy, as runs
	newComments  = 100
	fewTopics    = 5
	copyTime     = time.Hour
	idleTime     = time.Minute // of each run: there is a round in each
	catchUpTime  = 2 * time.Minute
	minCopied    = 5000 // comments a second
	maxCatchUp   = 0.2
	maxWireFew   = 150e3
	maxWireWorst = 1.5e6
	maxIdle      = 0.01 // of a core
)

// comments is how many a server has.
func (p *process) comments() (int, error) {
	m, err := p.metrics()
	return int(m[ofCommunity("comments")]), err
}

// until polls a server until it has so many comments.
func (b *bench) until(p *process, comments int, each, late time.Duration, seen func(n int)) error {
	for end := time.Now().Add(late); ; {
		n, err := p.comments()
		if err != nil {
			return err
		}
		seen(n)
		if n >= comments {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("%d of %d comments came in %s: %s", n, comments, late, p.errors)
		}
		if err := b.wait(each); err != nil {
			return err
		}
	}
}

// replicate copies a community to a new server, and returns its folder and how
// many comments a second came in each part of the whole, and in all of it.
func (b *bench) replicate(s *set, name string) (dir string, parts []float64, whole float64, err error) {
	a, err := b.serve(s.dir, overIPFS()...)
	if err != nil {
		return "", nil, 0, err
	}
	if err := b.root(a); err != nil {
		return "", nil, 0, err
	}
	if err := b.settle(a); err != nil {
		return "", nil, 0, err
	}
	total, err := a.comments()
	if err != nil {
		return "", nil, 0, err
	}
	if err := b.room(total); err != nil {
		return "", nil, 0, err
	}
	dir = b.fresh(name)
	c, err := b.serve(dir, overIPFS("--peer", a.http)...)
	if err != nil {
		return "", nil, 0, err
	}
	start := time.Now()
	lastN, last := 0, start
	profiled := b.profile(c, "copy", 20*time.Second)
	profiledA := b.profile(a, "copied", 20*time.Second)
	err = b.until(c, total, max(5*time.Millisecond, b.span(200*time.Millisecond)/10), copyTime, func(n int) {
		if part := max(total/copyParts, 1); n-lastN >= part || n >= total && n > lastN {
			now := time.Now()
			parts = append(parts, float64(n-lastN)/now.Sub(last).Seconds())
			lastN, last = n, now
			b.say("%d copied, %.0f a second", n, parts[len(parts)-1])
		}
	})
	if err != nil {
		return "", nil, 0, err
	}
	whole = float64(total) / time.Since(start).Seconds()
	profiled()
	profiledA()
	if err := b.root(c); err != nil {
		return "", nil, 0, err
	}
	if err := b.settle(c); err != nil {
		return "", nil, 0, err
	}
	if err := c.stop(); err != nil {
		return "", nil, 0, err
	}
	return dir, parts, whole, a.stop()
}

// copied is where row 9 left its copy, for row 10.
const copied = "copy"

func (b *bench) copyOfMany() (whole float64, parts []float64, err error) {
	s, err := b.many()
	if err != nil {
		return 0, nil, err
	}
	dir, parts, whole, err := b.replicate(s, copied)
	b.sets[copied] = &set{dir: dir, topics: s.topics}
	return whole, parts, err
}

func (b *bench) measureCopy() error {
	whole, parts, err := b.copyOfMany()
	if err != nil {
		return err
	}
	b.table.add(fmt.Sprintf("first copy of %s comments to a new server, comments/s", thousands(float64(b.n(manyComments)))), atLeast(minCopied), perSecond, []float64{whole},
		"one copy; its fifths, from the first: "+strings.Join(each(parts, perSecond), ", "))
	return nil
}

func each(values []float64, u unit) []string {
	var all []string
	for _, v := range values {
		all = append(all, u.write(v))
	}
	return all
}

// measureCatchUp has a server that was away get what was posted to another
// meanwhile, by HTTP alone, so that all that goes over the wire can be counted.
func (b *bench) measureCatchUp() error {
	if b.sets[copied] == nil {
		if _, _, err := b.copyOfMany(); err != nil {
			return err
		}
	}
	from, to := b.sets["many"], b.sets[copied]
	w, err := newWire()
	if err != nil {
		return err
	}
	defer w.close()
	a, err := b.serve(from.dir, overHTTP("--public-url", w.origin)...)
	if err != nil {
		return err
	}
	w.to(a.http)
	var times, sizes [2][]float64
	for i := range 2*b.runs + 1 { // the first brings what earlier rows posted
		topics := rand.Perm(len(from.topics))
		if i%2 == 0 {
			topics = topics[:min(fewTopics, len(topics))]
		}
		k := b.newPosts(from.topics, func(n uint64) int { return topics[n%uint64(len(topics))] })
		if _, err := b.pace(a, k, time.Minute, newComments); err != nil {
			return err
		}
		if err := b.root(a); err != nil {
			return err
		}
		if err := b.settle(a); err != nil {
			return err
		}
		total, err := a.comments()
		if err != nil {
			return err
		}
		w.reset()
		c, err := b.serve(to.dir, overHTTP("--peer", w.origin)...)
		if err != nil {
			return err
		}
		name := []string{"catch-up-few", "catch-up-worst"}[i%2]
		profiled := b.profile(a, name, time.Second)
		late := catchUpTime
		if i == 0 {
			late = copyTime
		}
		if err := b.until(c, total, 5*time.Millisecond, late, func(int) {}); err != nil {
			return err
		}
		took, bytes := time.Since(w.first()), w.bytes.Load()
		profiled()
		if err := c.stop(); err != nil {
			return err
		}
		b.say("%d new in %d topics: %s, %s", newComments, min(len(topics), newComments), took, size.write(float64(bytes)))
		if i == 0 {
			continue
		}
		times[i%2], sizes[i%2] = append(times[i%2], took.Seconds()), append(sizes[i%2], float64(bytes))
	}
	for i, of := range []struct {
		what string
		wire float64
	}{{"5 topics", maxWireFew}, {"100 topics", maxWireWorst}} {
		what := fmt.Sprintf("catching up 100 new comments in %s, in %s", thousands(float64(b.n(manyComments))), of.what)
		b.table.add(what, atMost(maxCatchUp), seconds, times[i], "from the first byte that is asked, by a server that was just started, till all are stored")
		b.table.add("bytes on the wire for that, both ways", atMost(of.wire), size, sizes[i], "the hello and all headers too")
	}
	return a.stop()
}

// wire passes a server's connections on and counts what goes over them.
type wire struct {
	l      net.Listener
	origin string
	bytes  atomic.Int64

	mu     sync.Mutex
	server string
	began  time.Time
}

func newWire() (*wire, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	w := &wire{l: l, origin: "http://" + l.Addr().String()}
	go w.accept()
	return w, nil
}

func (w *wire) close() { w.l.Close() }

func (w *wire) to(origin string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.server = strings.TrimPrefix(origin, "http://")
}

func (w *wire) reset() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.began = time.Time{}
	w.bytes.Store(0)
}

// first is when the first byte came since the reset.
func (w *wire) first() time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.began
}

func (w *wire) accept() {
	for {
		c, err := w.l.Accept()
		if err != nil {
			return
		}
		w.mu.Lock()
		server := w.server
		w.mu.Unlock()
		s, err := net.Dial("tcp", server)
		if err != nil {
			c.Close()
			continue
		}
		go w.pass(s, c)
		go w.pass(c, s)
	}
}

func (w *wire) pass(to, from net.Conn) {
	defer to.Close()
	buf := make([]byte, 64<<10)
	for {
		n, err := from.Read(buf)
		if n > 0 {
			w.mu.Lock()
			if w.began.IsZero() {
				w.began = time.Now()
			}
			w.mu.Unlock()
			w.bytes.Add(int64(n))
			if _, err := to.Write(buf[:n]); err != nil {
				return
			}
		}
		if err != nil {
			return
		}
	}
}

// measureIdle has a server do nothing but what it does by itself.
func (b *bench) measureIdle() error {
	s, err := b.wide()
	if err != nil {
		return err
	}
	dir, _, _, err := b.replicate(s, "wide-copy")
	if err != nil {
		return err
	}
	what := fmt.Sprintf("a server idle in a community of %s topics, of a core", thousands(float64(len(s.topics))))
	a, err := b.serve(s.dir, overIPFS()...)
	if err != nil {
		return err
	}
	alone, err := b.idle(a)
	if err != nil {
		return err
	}
	b.table.add(what, atMost(maxIdle), percent, alone, "alone; in each "+b.span(idleTime).String())
	c, err := b.serve(dir, overIPFS("--peer", a.http)...)
	if err != nil {
		return err
	}
	beside, err := b.idle(c)
	if err != nil {
		return err
	}
	b.table.add("the same beside another that has them too", atMost(maxIdle), percent, beside, "which it compares itself with each minute")
	if err := c.stop(); err != nil {
		return err
	}
	return a.stop()
}

// idle is what of a core a server uses, in each of all runs.
func (b *bench) idle(p *process) ([]float64, error) {
	if err := b.root(p); err != nil {
		return nil, err
	}
	if err := b.settle(p); err != nil {
		return nil, err
	}
	var all []float64
	for range b.runs {
		before, err := p.cpu()
		if err != nil {
			return nil, err
		}
		start := time.Now()
		if err := b.wait(b.span(idleTime)); err != nil {
			return nil, err
		}
		after, err := p.cpu()
		if err != nil {
			return nil, err
		}
		all = append(all, (after-before).Seconds()/time.Since(start).Seconds())
		b.say("%s of a core", percent.write(all[len(all)-1]))
	}
	return all, nil
}

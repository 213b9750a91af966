package main

import (
	"bytes"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

// Rows 1 to 3: how much a server does, beside one that does nothing. Rows 4 and
// 5: how long a topic's folder takes.

const (
	paceTime    = 6 * time.Second // of each measurement of how much is done
	warmTime    = time.Second
	openTime    = 12 * time.Second // at a fixed pace: a checkpoint falls into each, as it does in life
	idsAsked    = 50               // new folder ids in each run
	carsAsked   = 50
	carComments = 1000
	noEnd       = 1 << 62
)

// pair is a server and the bare one.
type pair struct {
	comntr, bare *process
	topics       []topicHash
}

// pair starts both, with each topic posted to once.
func (b *bench) pair() (*pair, error) {
	w := &pair{topics: topicNames("posts "+b.run, postTopics)}
	var err error
	if w.comntr, err = b.serve(b.fresh("posts"), overIPFS()...); err != nil {
		return nil, err
	}
	if w.bare, err = b.serveBare(); err != nil {
		return nil, err
	}
	_, err = b.pace(w.comntr, b.newPosts(w.topics, inTurn), time.Minute, postTopics)
	return w, err
}

// inTurn has posts go to one topic after another.
func inTurn(n uint64) int { return int(n % postTopics) }

func (w *pair) stop() error {
	w.bare.kill()
	return w.comntr.stop()
}

// pace is how much of a kind a server does in d, asked by all clients.
func (b *bench) pace(p *process, k kind, d time.Duration, most uint64) (float64, error) {
	l, err := newLoad(p.http, clients, k)
	if err != nil {
		return 0, err
	}
	defer l.close()
	if k.byClient {
		defer l.useClient()()
	}
	return l.closed(b.ctx, d, most)
}

// compared is what compare found, in each run.
type compared struct {
	ours, bares, ratios []float64 // requests a second, and those of these
	// cpu is what a request cost each server: it says where the difference lies,
	// and changes less with what else the machine does.
	ourCPU, bareCPU []float64
}

func (c *compared) cpu() string {
	return fmt.Sprintf("CPU of a request %.0f µs, bare %.0f µs", median(c.ourCPU)*1e6, median(c.bareCPU)*1e6)
}

// compare measures a kind of request at both, in turns, and who is first
// changes. The server rests before the bare one is measured, so that nothing it
// left to do later slows that.
func (b *bench) compare(w *pair, name string, k kind) (c compared, err error) {
	d := b.span(paceTime)
	for _, p := range []*process{w.comntr, w.bare} {
		if _, err := b.pace(p, k, min(d, warmTime), noEnd); err != nil {
			return c, err
		}
	}
	for i := range b.runs {
		for turn := range 2 {
			p, paces, costs := w.comntr, &c.ours, &c.ourCPU
			if (turn+i)%2 == 1 {
				p, paces, costs = w.bare, &c.bares, &c.bareCPU
			} else if k.renew != nil {
				if err := k.renew(); err != nil {
					return c, err
				}
			}
			if err := b.settle(w.comntr); err != nil {
				return c, err
			}
			before, err := p.cpu()
			if err != nil {
				return c, err
			}
			profiled := b.profile(p, name, d)
			start := time.Now()
			v, err := b.pace(p, k, d, noEnd)
			if err != nil {
				return c, err
			}
			took := time.Since(start)
			after, err := p.cpu()
			if err != nil {
				return c, err
			}
			profiled()
			*paces = append(*paces, v)
			*costs = append(*costs, (after-before).Seconds()/(v*took.Seconds()))
		}
		c.ratios = append(c.ratios, c.ours[i]/c.bares[i])
		b.say("%.0f a second, bare %.0f: %.3f", c.ours[i], c.bares[i], c.ratios[i])
	}
	return c, nil
}

func (b *bench) measurePosts() error {
	w, err := b.pair()
	if err != nil {
		return err
	}
	k := b.newPosts(w.topics, inTurn)
	k.renew = func() error { return b.renew(w) }
	if b.rate, err = b.bothWays(w, "posts", "durable posts/s, 64 clients, 200 bytes, 250 topics of each run's own", 0.35, k); err != nil {
		return err
	}
	files, err := b.files()
	if err != nil {
		return err
	}
	b.table.add("files of that size that one writer creates and renames here, not durably", bound{}, perSecond, files)
	return w.stop()
}

// renew gives the posts that follow topics of their own: what a file costs grows with
// its folder.
func (b *bench) renew(w *pair) error {
	b.renewed++
	copy(w.topics, topicNames(fmt.Sprintf("posts %s, %d", b.run, b.renewed), postTopics))
	_, err := b.pace(w.comntr, b.newPosts(w.topics, inTurn), time.Minute, postTopics)
	return err
}

// bothWays compares by net/http's client, whose ratio has the bound, and by what
// makes no garbage, which takes less of the cores and so shows more of what lies
// between the two servers. It returns how many a second that one got.
func (b *bench) bothWays(w *pair, name, what string, least float64, k kind) (rate float64, err error) {
	for _, by := range []struct {
		of   string
		kind kind
		bound
	}{
		{", by net/http's client", k.asked(), atLeast(least)},
		{", by the lean generator", k, bound{}},
	} {
		c, err := b.compare(w, name, by.kind)
		if err != nil {
			return 0, err
		}
		rate = median(c.ours)
		b.table.add(what+by.of, bound{}, perSecond, c.ours, "bare "+thousands(median(c.bares)))
		b.table.add("the same, of the bare server's", by.bound, ratio, c.ratios, "measured in turns: of each pair the ratio", c.cpu())
	}
	return rate, nil
}

// files is how many files a second the file system makes in the way that the
// store does, by one writer and without any sync: no store of files is faster.
func (b *bench) files() (perSecond []float64, err error) {
	dir := b.fresh("files")
	folders := make([]string, postTopics)
	for i := range folders {
		folders[i] = filepath.Join(dir, strconv.Itoa(i))
		if err := os.MkdirAll(folders[i], 0o755); err != nil {
			return nil, err
		}
	}
	text := bytes.Repeat([]byte("x"), textLength)
	for n := range b.runs {
		start, made := time.Now(), 0
		for ; time.Since(start) < b.span(warmTime); made++ {
			tmp := filepath.Join(dir, "tmp")
			if err := os.WriteFile(tmp, text, 0o644); err != nil {
				return nil, err
			}
			if err := os.Rename(tmp, filepath.Join(folders[made%postTopics], fmt.Sprintf("%d-%d", n, made))); err != nil {
				return nil, err
			}
		}
		perSecond = append(perSecond, float64(made)/time.Since(start).Seconds())
	}
	return perSecond, nil
}

func (b *bench) measurePostTimes() error {
	w, err := b.pair()
	if err != nil {
		return err
	}
	k := b.newPosts(w.topics, inTurn)
	if b.rate == 0 {
		if b.rate, err = b.pace(w.comntr, k, b.span(paceTime), noEnd); err != nil {
			return err
		}
	}
	var p50, p99, worst, checkpoints []float64
	for range b.runs {
		if err := errors.Join(b.renew(w), b.settle(w.comntr)); err != nil {
			return err
		}
		before, err := w.comntr.metrics()
		if err != nil {
			return err
		}
		// Not before: a server closes a connection that asks nothing at first.
		l, err := newLoad(w.comntr.http, clients, k)
		if err != nil {
			return err
		}
		profiled := b.profile(w.comntr, "post-p99", b.span(openTime))
		times, err := l.open(b.ctx, b.span(openTime), b.rate/2)
		l.close()
		if err != nil {
			return err
		}
		profiled()
		after, err := w.comntr.metrics()
		if err != nil {
			return err
		}
		const sum = "checkpoint_duration_seconds_sum"
		checkpoints = append(checkpoints, after[ofCommunity(sum)]-before[ofCommunity(sum)])
		p50, p99, worst = append(p50, quantile(times, 0.5)), append(p99, quantile(times, 0.99)), append(worst, quantile(times, 1))
		b.say("p50 %.2f ms, p99 %.2f ms, checkpoints %.0f ms", p50[len(p50)-1]*1e3, p99[len(p99)-1]*1e3, checkpoints[len(checkpoints)-1]*1e3)
	}
	b.table.add("p99 of a post at half that rate", atMost(0.015), seconds, p99,
		fmt.Sprintf("%s a second, by the clock; p50 %s, longest %s; checkpoints took %s of each %s", thousands(b.rate/2), seconds.write(median(p50)), seconds.write(median(worst)),
			seconds.write(median(checkpoints)), b.span(openTime)))
	return w.stop()
}

func (b *bench) measureGets() error {
	w, err := b.pair()
	if err != nil {
		return err
	}
	c, err := dial(w.comntr.http)
	if err != nil {
		return err
	}
	defer c.Close()
	k := gets(w.topics)
	k.request(c)
	tags := make([]string, len(w.topics))
	for i := range tags {
		k.next(c, uint64(i))
		if err := errors.Join(c.ask(), c.want(200)); err != nil {
			return err
		}
		tag, _ := header(c.head, etagName)
		tags[i] = string(tag)
	}
	for _, of := range []struct {
		what, name string
		kind       kind
	}{
		{"`GET /<topic>` unchanged, a second, 64 clients", "get", k},
		{"304 of the same", "not-modified", getsAgain(w.topics, tags)},
	} {
		if _, err := b.bothWays(w, of.name, of.what, 0.8, of.kind); err != nil {
			return err
		}
	}
	return w.stop()
}

// idBounds are for the sizes of topicSizes; the row has no 1,000.
var idBounds = map[int]float64{100: 0.001, 10_000: 0.0015, 100_000: 0.002, 1_000_000: 0.003}

func (b *bench) measureIDs() error {
	s, err := b.bySize()
	if err != nil {
		return err
	}
	p, err := b.serve(s.dir, overIPFS()...)
	if err != nil {
		return err
	}
	for i, full := range topicSizes {
		limit, ok := idBounds[full]
		if !ok {
			continue
		}
		times, err := b.newIDs(p, s.topics[i:i+1])
		if err != nil {
			return err
		}
		all := make([]float64, len(times))
		for i, t := range times {
			all[i] = t.Seconds()
		}
		b.table.add("new folder id after one post, topic of "+thousands(float64(b.size(full))), atMost(limit), seconds, all, "p99 "+seconds.write(quantile(times, 0.99)))
	}
	return p.stop()
}

// newIDs posts to a topic and asks for its id, again and again, and times the
// second.
func (b *bench) newIDs(p *process, topic []topicHash) ([]time.Duration, error) {
	l, err := newLoad(p.http, 1, b.newPosts(topic, func(uint64) int { return 0 }))
	if err != nil {
		return nil, err
	}
	defer l.close()
	readers, err := newLoad(p.http, 1, gets(topic))
	if err != nil {
		return nil, err
	}
	defer readers.close()
	defer l.end(b.ctx, 0)()
	defer readers.end(b.ctx, 0)()
	post, get := l.conns[0], readers.conns[0]
	var times []time.Duration
	for i := range b.runs*idsAsked + 3 {
		l.kind.next(post, 0)
		if err := errors.Join(post.ask(), post.want(201)); err != nil {
			return nil, err
		}
		start := time.Now()
		if err := errors.Join(get.ask(), get.want(200)); err != nil {
			return nil, err
		}
		if i >= 3 { // the first ones read the folder from disk
			times = append(times, time.Since(start))
		}
	}
	return times, nil
}

func (b *bench) measureCARs() error {
	s, err := b.bySize()
	if err != nil {
		return err
	}
	p, err := b.serve(s.dir, overIPFS()...)
	if err != nil {
		return err
	}
	client := &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: answerTime}
	for _, how := range []struct{ what, encoding string }{{"plain", "identity"}, {"gzip", "gzip"}} {
		r, err := http.NewRequestWithContext(b.ctx, "GET", p.http+"/"+communityHex+"/"+string(s.topics[1][:]), nil)
		if err != nil {
			return err
		}
		r.Header.Set("Accept", "application/vnd.ipld.car")
		r.Header.Set("Accept-Encoding", how.encoding)
		var times []float64
		var length int64
		for i := range b.runs*carsAsked + 3 {
			start := time.Now()
			w, err := client.Do(r)
			if err != nil {
				return err
			}
			var in io.Reader = w.Body
			var whole strings.Builder
			if i == 0 {
				in = io.TeeReader(in, &whole)
			}
			length, err = io.Copy(io.Discard, in)
			w.Body.Close()
			if err != nil {
				return err
			}
			switch {
			case i == 0:
				if err := checkCAR(whole.String(), how.encoding == "gzip"); err != nil {
					return err
				}
			case i >= 3:
				times = append(times, time.Since(start).Seconds())
			}
		}
		b.table.add("whole folder as CAR, 1,000 comments, "+how.what, atMost(0.010), seconds, times, fmt.Sprintf("%s in one answer", size.write(float64(length))))
	}
	return p.stop()
}

// checkCAR has the answer be what a page would take: all blocks, and theirs.
func checkCAR(answer string, zipped bool) error {
	var in io.Reader = strings.NewReader(answer)
	if zipped {
		z, err := gzip.NewReader(in)
		if err != nil {
			return err
		}
		in = z
	}
	blocks := 0
	if _, err := comntr.ReadCAR(in, 1<<30, func(cid.Cid, []byte) error { blocks++; return nil }); err != nil {
		return err
	}
	if blocks <= carComments {
		return fmt.Errorf("the CAR has %d blocks: that is not a folder of %d comments", blocks, carComments)
	}
	return nil
}

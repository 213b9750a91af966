package main

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"path/filepath"
	"time"
)

// Rows 6 to 8: a server with a million comments: its disk, its memory, its
// start.

const (
	memoryTime   = 10 * time.Second // of load, in each run
	killLoad     = 2 * time.Second  // of posts before each kill -9
	dayPosts     = 400_000          // twice what it takes until as many replaced nodes are kept as ever are, and what they leave behind is as much as it ever is
	dayClients   = 8
	dayPoints    = 20
	memoryShare  = 8 // one in so many of those who ask posts
	maxResident  = 200e6
	maxAnonymous = 100e6
	maxBeyond    = 300 // bytes a comment
)

// measureDisk looks at each file of the large community, then at a topic that
// is posted to all day.
func (b *bench) measureDisk() error {
	s, err := b.many()
	if err != nil {
		return err
	}
	u, err := measure(s.dir)
	if err != nil {
		return err
	}
	// Nodes that were replaced within the hour are bounded, and not a comment's.
	p, err := b.serve(s.dir, overIPFS()...)
	if err != nil {
		return err
	}
	m, err := p.metrics()
	if err != nil {
		return err
	}
	if err := p.stop(); err != nil {
		return err
	}
	each := func(v float64) float64 { return v / float64(u.comments) }
	waiting := m[ofCommunity("blocks_replaced_bytes")]
	b.table.add("disk beyond the comments' own files, a comment", atMost(maxBeyond), size, []float64{each(u.beyond.plus(u.folders).allocated - waiting)},
		fmt.Sprintf("databases %s (as long as their files are: %s), the topics' folders %s; besides, replaced nodes that are kept for an hour, at most 1 GiB of them: %s in all; a comment's file takes %s",
			size.write(each(u.beyond.allocated-waiting)), size.write(each(u.beyond.apparent-waiting)), size.write(each(u.folders.allocated)), size.write(waiting), size.write(each(u.own.allocated))))
	return b.measureDay()
}

// measureDay posts to one topic, with its id asked for after each post, which is
// what replaces most nodes, and looks at the databases on the way.
func (b *bench) measureDay() error {
	dir := b.fresh("day")
	p, err := b.serve(dir, overIPFS()...)
	if err != nil {
		return err
	}
	topic := topicNames("day", 1)
	posts, err := newLoad(p.http, dayClients, b.newPosts(topic, func(uint64) int { return 0 }))
	if err != nil {
		return err
	}
	defer posts.close()
	reads, err := newLoad(p.http, dayClients, gets(topic))
	if err != nil {
		return err
	}
	defer reads.close()
	total := b.n(dayPosts)
	var points, waiting []float64
	for point := range dayPoints {
		stop, stopReads := posts.end(b.ctx, 0), reads.end(b.ctx, 0)
		err := posts.each(func(client int, c *conn) error {
			get := reads.conns[client]
			for i := client; i < total/dayPoints; i += dayClients {
				posts.kind.next(c, 0)
				if err := errors.Join(c.ask(), c.want(201), get.ask(), get.want(200)); err != nil {
					return err
				}
			}
			return nil
		})
		stop()
		stopReads()
		if err != nil {
			return err
		}
		if err := b.settle(p); err != nil {
			return err
		}
		u, err := measure(filepath.Join(dir, communityHex, ".ipfs"))
		if err != nil {
			return err
		}
		m, err := p.metrics()
		if err != nil {
			return err
		}
		points = append(points, u.beyond.allocated)
		waiting = append(waiting, m[ofCommunity("blocks_replaced_bytes")])
		b.say("after %d posts: %s, of which replaced nodes %s", total/dayPoints*(point+1), size.write(points[point]), size.write(waiting[point]))
	}
	last := len(points) - 1
	half := last / 2
	var rest []float64 // in the second half, without the replaced nodes
	for point := half; point <= last; point++ {
		rest = append(rest, points[point]-waiting[point])
	}
	grown := slope(rest) / (float64(total) / dayPoints)
	b.table.add(fmt.Sprintf("growth of the databases a comment, second half of %s posts to one topic", thousands(float64(total))), atMost(maxBeyond), size, []float64{max(grown, 0)},
		fmt.Sprintf("without the replaced nodes that are kept for an hour, at most 1 GiB of them: %s after the first half, %s at the end; with them %s and %s; the topic's id was asked for after each post",
			size.write(waiting[half]), size.write(waiting[last]), size.write(points[half]), size.write(points[last])))
	return p.stop()
}

// slope is by how much ys grow from one to the next, on the whole: the databases
// merge their tables now and then, so two of ys alone tell little.
func slope(ys []float64) float64 {
	middle := float64(len(ys)-1) / 2
	var sum, squares float64
	for i, y := range ys {
		d := float64(i) - middle
		sum += d * y
		squares += d * d
	}
	if squares == 0 {
		return 0
	}
	return sum / squares
}

// measureMemory loads the server with readers of all topics and some who post,
// and looks at its memory meanwhile, where it is highest.
func (b *bench) measureMemory() error {
	s, err := b.many()
	if err != nil {
		return err
	}
	p, err := b.serve(s.dir, overIPFS()...)
	if err != nil {
		return err
	}
	if err := b.root(p); err != nil {
		return err
	}
	if err := b.settle(p); err != nil {
		return err
	}
	idle, idleAnonymous, err := p.memory()
	if err != nil {
		return err
	}
	readers, err := newLoad(p.http, clients-clients/memoryShare, gets(s.topics))
	if err != nil {
		return err
	}
	defer readers.close()
	writers, err := newLoad(p.http, clients/memoryShare, b.newPosts(s.topics, func(uint64) int { return rand.IntN(len(s.topics)) }))
	if err != nil {
		return err
	}
	defer writers.close()
	var resident, anonymous []float64
	for range b.runs {
		done := make(chan error, 2)
		for _, l := range []*load{readers, writers} {
			go func() {
				_, err := l.closed(b.ctx, b.span(memoryTime), noEnd)
				done <- err
			}()
		}
		most, mostAnonymous := 0.0, 0.0
		for waits := 2; waits > 0; {
			select {
			case e := <-done:
				waits--
				err = errors.Join(err, e)
			case <-time.After(100 * time.Millisecond):
				r, a, e := p.memory()
				err = errors.Join(err, e)
				most, mostAnonymous = max(most, r), max(mostAnonymous, a)
			}
		}
		if err != nil {
			return err
		}
		resident, anonymous = append(resident, most), append(anonymous, mostAnonymous)
		b.say("at most %s resident, %s anonymous", size.write(most), size.write(mostAnonymous))
	}
	what := fmt.Sprintf("with %s comments in %s topics, serving", thousands(float64(b.n(manyComments))), thousands(float64(len(s.topics))))
	b.table.add("resident memory "+what, atMost(maxResident), size, resident, "the most in "+b.span(memoryTime).String()+" of 56 readers and 8 who post; before "+size.write(idle))
	b.table.add("of it anonymous", atMost(maxAnonymous), size, anonymous, "before "+size.write(idleAnonymous))
	return p.stop()
}

// measureStarts times from the start of the process to the first folder's id
// that it gives.
func (b *bench) measureStarts() error {
	s, err := b.many()
	if err != nil {
		return err
	}
	p, err := b.serve(s.dir, overIPFS()...)
	if err != nil {
		return err
	}
	var clean, killed []float64
	for range b.runs {
		if err := p.stop(); err != nil {
			return err
		}
		var took float64
		if p, took, err = b.firstAnswer(s); err != nil {
			return err
		}
		clean = append(clean, took)
		b.say("after a stop: %s", seconds.write(took))
	}
	comments := 0
	for range b.runs {
		l, err := newLoad(p.http, clients, b.newPosts(s.topics, func(uint64) int { return rand.IntN(len(s.topics)) }))
		if err != nil {
			return err
		}
		timer := time.AfterFunc(b.span(killLoad), func() { p.cmd.Process.Kill() })
		_, err = l.closed(b.ctx, answerTime, noEnd)
		l.close()
		timer.Stop()
		if err == nil {
			return errors.New("the server took a kill -9")
		}
		<-p.exited
		var took float64
		if p, took, err = b.firstAnswer(s); err != nil {
			return err
		}
		killed = append(killed, took)
		if comments, err = p.comments(); err != nil {
			return err
		}
		b.say("after kill -9: %s", seconds.write(took))
	}
	b.table.add("start with these, to the first answer", atMost(2), seconds, clean, "a topic's id; the disk's cache is warm")
	b.table.add("start after kill -9 amid posts", atMost(5), seconds, killed, fmt.Sprintf("%s comments in the end", thousands(float64(comments))))
	return p.stop()
}

// firstAnswer starts a server and asks it for a topic's id.
func (b *bench) firstAnswer(s *set) (*process, float64, error) {
	p, err := b.serve(s.dir, overIPFS()...)
	if err != nil {
		return nil, 0, err
	}
	l, err := newLoad(p.http, 1, gets(s.topics[:1]))
	if err != nil {
		return nil, 0, err
	}
	defer l.close()
	if _, err := l.closed(b.ctx, answerTime, 1); err != nil {
		return nil, 0, err
	}
	return p, time.Since(p.began).Seconds(), nil
}

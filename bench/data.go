package main

import (
	"errors"
	"fmt"
	"io/fs"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/comntr/comntr"
)

const community = "bench"

var (
	communityID  = comntr.NameHash(community)
	communityHex = communityID.String()
)

// Sizes at full scale.
const (
	manyComments = 1_000_000
	manyTopics   = 10_000
	wideTopics   = 100_000
	postTopics   = 250
	clients      = 64
	fillClients  = 256 // a commit takes what waits: more at once fill faster
)

// topicSizes are those of the rows that look at one topic.
var topicSizes = []int{100, 1_000, 10_000, 100_000, 1_000_000}

// set is a data folder that was filled.
type set struct {
	dir    string
	topics []topicHash
}

func topicNames(name string, n int) []topicHash {
	all := make([]topicHash, n)
	for i := range all {
		copy(all[i][:], comntr.NameHash(fmt.Sprintf("%s %d", name, i)).String())
	}
	return all
}

// many is the large community: 100 comments in each topic.
func (b *bench) many() (*set, error) {
	topics := topicNames("many", b.n(manyTopics))
	return b.fill("many", topics, b.n(manyComments), func(n uint64) int { return int(n % uint64(len(topics))) })
}

// wide is the community of very many topics.
func (b *bench) wide() (*set, error) {
	topics := topicNames("wide", b.n(wideTopics))
	return b.fill("wide", topics, len(topics), func(n uint64) int { return int(n) })
}

// bySize has one topic of each size, the largest as large as the community of
// many.
func (b *bench) bySize() (*set, error) {
	ends, total := make([]uint64, len(topicSizes)), uint64(0)
	for i, size := range topicSizes {
		total += uint64(b.size(size))
		ends[i] = total
	}
	return b.fill("sizes", topicNames("size", len(topicSizes)), int(total), func(n uint64) int {
		i := 0
		for n >= ends[i] {
			i++
		}
		return i
	})
}

// size scales a topic. Small ones stay as they are.
func (b *bench) size(full int) int { return max(min(full, 1000), b.n(full)) }

// fill posts so many comments to a new server, once; to what an earlier run did
// not fill to its end, the rest. What stands there afterwards is what a server that
// was posted to has: nothing is made by hand.
func (b *bench) fill(name string, topics []topicHash, comments int, choose func(n uint64) int) (*set, error) {
	if s := b.sets[name]; s != nil {
		return s, nil
	}
	s := &set{filepath.Join(b.data, name), topics}
	made := filepath.Join(b.data, name+".made")
	size := fmt.Sprintf("%d comments in %d topics\n", comments, len(topics))
	switch there, err := os.ReadFile(made); {
	case err == nil && string(there) == size:
		b.sets[name] = s
		return s, nil
	case err == nil:
		return nil, fmt.Errorf("%s has %q, and %q is wanted: remove it, or use another -data", s.dir, strings.TrimSpace(string(there)), strings.TrimSpace(size))
	}
	if err := b.room(comments); err != nil {
		return nil, err
	}
	p, err := b.serve(s.dir, overHTTP()...)
	if err != nil {
		return nil, err
	}
	there, err := p.comments()
	if err != nil {
		return nil, err
	}
	b.say("posting %s, of which %d are there", strings.TrimSpace(size), there)
	l, err := newLoad(p.http, fillClients, b.newPosts(topics, func(n uint64) int { return choose(uint64(there) + n) }))
	if err != nil {
		return nil, err
	}
	defer l.close()
	pace, err := l.closed(b.ctx, 24*time.Hour, uint64(max(comments-there, 0)))
	if err != nil {
		return nil, err
	}
	b.say("posted %.0f a second", pace)
	if err := b.root(p); err != nil {
		return nil, err
	}
	if err := b.settle(p); err != nil {
		return nil, err
	}
	if err := p.stop(); err != nil {
		return nil, err
	}
	b.sets[name] = s
	return s, os.WriteFile(made, []byte(size), 0o666)
}

// room refuses to fill a disk to its end. A comment takes a block, and a copy
// of it another.
func (b *bench) room(comments int) error {
	var st syscall.Statfs_t
	if err := syscall.Statfs(b.data, &st); err != nil {
		return err
	}
	free, need := uint64(st.Bavail)*uint64(st.Bsize), uint64(comments)*5000+1<<30
	if free < need {
		return fmt.Errorf("%s has %d MB free and %d are needed: -data names another disk, -scale needs less", b.data, free>>20, need>>20)
	}
	return nil
}

// root asks for the community's folder, which makes those of all topics.
func (b *bench) root(p *process) error {
	for end := time.Now().Add(answerTime); ; {
		r, err := http.NewRequestWithContext(b.ctx, "GET", p.http+"/"+communityHex, nil)
		if err != nil {
			return err
		}
		w, err := http.DefaultClient.Do(r)
		if err == nil {
			w.Body.Close()
			if w.StatusCode == http.StatusOK {
				return nil
			}
			err = errors.New(w.Status)
		}
		if b.ctx.Err() != nil || time.Now().After(end) {
			return fmt.Errorf("the community's folder: %w", err)
		}
		if err := b.wait(100 * time.Millisecond); err != nil {
			return err
		}
	}
}

// usage is what a data folder takes of the disk, as files are long and as blocks
// are taken.
type usage struct {
	comments             int
	own, folders, beyond space
}

type space struct{ apparent, allocated float64 }

func (s *space) add(fi fs.FileInfo) {
	s.apparent += float64(fi.Size())
	if st, ok := fi.Sys().(*syscall.Stat_t); ok {
		s.allocated += float64(st.Blocks) * 512
	}
}

func (s space) plus(o space) space { return space{s.apparent + o.apparent, s.allocated + o.allocated} }

// measure looks at each file of a data folder.
func measure(dir string) (u usage, err error) {
	err = filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // a database's file that is no longer needed
		}
		if err != nil {
			return err
		}
		fi, err := d.Info()
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		rest, _ := strings.CutPrefix(path, filepath.Join(dir, communityHex)+string(filepath.Separator))
		_, notTopic := strconv.ParseUint(rest[:min(8, len(rest))], 16, 64)
		switch {
		case rest == path || notTopic != nil:
			u.beyond.add(fi)
		case d.IsDir():
			u.folders.add(fi)
		default:
			u.comments++
			u.own.add(fi)
		}
		return nil
	})
	return u, err
}

// fresh is a data folder that is not there yet.
func (b *bench) fresh(name string) string {
	for i := 1; ; i++ {
		dir := filepath.Join(b.data, fmt.Sprintf("%s-%d", name, i))
		if _, err := os.Lstat(dir); errors.Is(err, fs.ErrNotExist) {
			return dir
		}
	}
}

package replica_test

import (
	"context"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
	"github.com/comntr/comntr/internal/replica"
	"github.com/ipfs/go-cid"
)

func TestZZBudgetTwoAddresses(t *testing.T) {
	w, clock := newWorld(t), newClock()
	a, b := w.serve("a", 0), w.serve("b", 0, clock.set, func(cfg *replica.Config) { cfg.Budget.Files = 30 })
	w.handle("a2.test:80", a)
	a.postMany(300, 1, "comment")
	for i := range 8 {
		s := a.as()
		if i%2 == 1 {
			s.Origin = "http://a2.test:80"
		}
		if _, err := b.replica.Round(context.Background(), s, reddit); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("two addresses, one key, budget of 30 a day each: %d comments came", b.store.Stats().Comments)
}

func TestZZStarve(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w := newWorld(t)
		a, s := w.serve("a", 0), w.serve("s", 0)
		a.postMany(20, 2, "honest")
		var list []discover.Server
		for k := range 8 {
			l := &liar{host: fmt.Sprintf("liar%d.test:80", k), blocks: make(map[cid.Cid][]byte)}
			w.handle(l.host, l)
			comments := make(map[comntr.Hash]cid.Cid)
			for i := range 3000 {
				text := fmt.Sprint("drop ", k, " ", i)
				comments[id(text)] = l.comment(text)
			}
			l.root = l.inTopic(comments).String()
			l.other = func(rw http.ResponseWriter, r *http.Request) {
				if r.URL.Path != "/blocks" {
					http.NotFound(rw, r)
					return
				}
				cids := asked(r)
				time.Sleep(900 * time.Millisecond)
				car, _ := comntr.NewCARWriter(rw, cids[0])
				car.Block(cids[0], l.blocks[cids[0]])
			}
			list = append(list, discover.Server{Origin: "http://" + l.host, Key: strings.Repeat(fmt.Sprintf("%02x", 0xe0+k), 32), Hello: &comntr.Hello{}})
		}
		s.book.servers = list
		stop := runHere(t, s)
		time.Sleep(2 * time.Second)
		hon := a.as()
		hon.Named = true
		s.book.mu.Lock()
		s.book.servers = append(s.book.servers, hon)
		close(s.book.changed)
		s.book.changed = make(chan struct{})
		s.book.mu.Unlock()
		began := time.Now()
		for time.Since(began) < 40*time.Minute {
			time.Sleep(5 * time.Second)
			if h := s.has("topic 0", comntr.Hash{}); h {
				break
			}
			rounds := 0
			for _, st := range s.replica.Status() {
				if st.Peer == a.key {
					rounds = st.Rounds
				}
			}
			if rounds > 0 {
				break
			}
		}
		t.Logf("the named server's first round ended after %v; failures reported: %d", time.Since(began), len(s.book.failures()))
		stop()
	})
}

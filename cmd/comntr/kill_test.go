package main

import (
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"math/rand/v2"
	"net/http"
	"os"
	"strconv"
	"sync"
	"testing"
	"time"

	"github.com/comntr/comntr"
)

// acknowledged is what a server that is killed again and again has promised.
type acknowledged struct {
	mu      sync.Mutex
	held    map[comntr.Hash]comntr.Place
	deleted map[comntr.Hash]comntr.Place
	recent  []comntr.Hash // since the last look
}

func (a *acknowledged) note(fn func()) {
	a.mu.Lock()
	defer a.mu.Unlock()
	fn()
}

// load posts to a server from some writers, and has every tenth comment deleted
// by its author, until the server no longer answers.
func (a *acknowledged) load(s *server, life int, key ed25519.PrivateKey) (stop func()) {
	ctx, cancel := context.WithCancel(context.Background())
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := 0; ctx.Err() == nil; i++ {
				place := comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash(fmt.Sprint("topic-", i%20))}
				body := fmt.Appendf(nil, "comment %d of writer %d in life %d", i, w, life)
				if i%10 != 9 {
					id, _, err := s.client.Post(ctx, place, body)
					if err != nil {
						return
					}
					a.note(func() {
						a.held[id] = place
						a.recent = append(a.recent, id)
					})
					continue
				}
				doc, err := comntr.Draft{Place: place, Date: time.Now(), Body: body}.Sign(key)
				if err != nil {
					return
				}
				if _, _, err := s.client.Post(ctx, place, doc.Bytes()); errors.As(err, new(*comntr.Problem)) {
					continue // it wants work
				} else if err != nil {
					return
				}
				del, err := comntr.Deletion(doc).Sign(key)
				if err != nil {
					return
				}
				// It may be gone before that is acknowledged.
				if _, _, err := s.client.Post(ctx, place, del.Bytes()); err != nil {
					return
				}
				a.note(func() {
					a.held[del.ID()] = place
					a.deleted[doc.ID()] = place
					a.recent = append(a.recent, doc.ID(), del.ID())
				})
			}
		})
	}
	return func() {
		cancel()
		wg.Wait()
	}
}

// look asks for some of what was acknowledged.
func (a *acknowledged) look(t *testing.T, s *server, ids []comntr.Hash) {
	t.Helper()
	var wg sync.WaitGroup
	for w := range 8 {
		wg.Go(func() {
			for i := w; i < len(ids); i += 8 {
				id := ids[i]
				if place, deleted := a.deleted[id]; deleted {
					_, err := s.client.Comment(context.Background(), place, id)
					var p *comntr.Problem
					if !errors.As(err, &p) || p.Status != http.StatusGone {
						t.Errorf("comment %s was deleted, and is answered with: %v", id, err)
					}
				} else if _, err := s.client.Comment(context.Background(), a.held[id], id); err != nil {
					t.Errorf("comment %s was acknowledged and is gone: %v", id, err)
				}
			}
		})
	}
	wg.Wait()
}

// TestE2EKill9Hundredfold: one hundred times over a server is killed with
// SIGKILL at a random moment, while comments are posted and deleted and it
// replicates with another one. Each time it starts again and has all that it
// acknowledged; in the end both have the same, and check finds nothing.
func TestE2EKill9Hundredfold(t *testing.T) {
	e2e(t)
	const kills = 100
	seed := uint64(time.Now().UnixNano())
	if s := os.Getenv("COMNTR_SEED"); s != "" {
		var err error
		if seed, err = strconv.ParseUint(s, 10, 64); err != nil {
			t.Fatal(err)
		}
	}
	t.Logf("COMNTR_SEED=%d makes the same moments again", seed)
	random := rand.New(rand.NewPCG(seed, 0))
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		t.Fatal(err)
	}
	other := serve(t, t.TempDir(), "--sync-interval", "1s")
	stopOther := make(chan struct{})
	var posting sync.WaitGroup
	posting.Go(func() { // so that there is always something to replicate
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for i := 0; ; i++ {
			select {
			case <-stopOther:
				return
			case <-tick.C:
				p, _ := comment(i%20, i)
				if _, _, err := other.client.Post(context.Background(), p, fmt.Appendf(nil, "to the other %d", i)); err != nil {
					t.Error(err)
					return
				}
			}
		}
	})
	defer posting.Wait()
	data := t.TempDir()
	flags := []string{"--sync-interval", "1s", "--peer", other.http, "--dht-bootstrap", other.dht}
	a := &acknowledged{held: map[comntr.Hash]comntr.Place{}, deleted: map[comntr.Hash]comntr.Place{}}
	start := time.Now()
	var all []comntr.Hash
	for life := range kills {
		s := serve(t, data, flags...)
		stop := a.load(s, life, key)
		// From the first moments, when the journal is replayed and others' folders
		// are walked, to some checkpoints' worth of comments.
		moment := time.Duration(random.IntN(400)) * time.Millisecond
		if life%50 == 49 {
			moment += 11 * time.Second // past a checkpoint
		}
		time.AfterFunc(moment, func() { s.cmd.Process.Kill() })
		<-s.exited
		stop()
		if life%20 == 19 {
			if stdout, stderr, code := output(t, "", "check", "--data", data); code != 0 {
				t.Fatalf("check after kill %d exits with %d:\n%s%s", life, code, stdout, stderr)
			}
		}
		// A start of its own, which is killed too: 200 in all.
		s = serve(t, data, flags...)
		all = append(all, a.recent...)
		ask := a.recent
		a.recent = nil
		for range min(100, len(all)) {
			ask = append(ask, all[random.IntN(len(all))])
		}
		a.look(t, s, ask)
		s.kill()
		if t.Failed() {
			t.Fatalf("after kill %d, %s after the start:\n%s", life, moment, s.stderr)
		}
	}
	t.Logf("%d kills in %s: %d comments acknowledged, %d of them deleted", kills, time.Since(start).Round(time.Second), len(a.held), len(a.deleted))
	if len(a.held) < 10*kills || len(a.deleted) < kills {
		t.Errorf("that was little load")
	}
	close(stopOther)
	posting.Wait()
	s := serve(t, data, flags...)
	a.look(t, s, all)
	// The other one still has two hundred addresses to try, of which it tries some
	// a minute: a new start is told the one that counts.
	other.stop()
	other = serve(t, other.data, "--sync-interval", "1s", "--peer", s.http, "--dht-bootstrap", s.dht)
	eventually(t, 2*time.Minute, func() error {
		_, err := roots([]*server{other, s})
		return err
	})
	s.stop()
	other.stop()
	for _, dir := range []string{data, other.data} {
		stdout, stderr, code := output(t, "", "check", "--data", dir)
		if code != 0 {
			t.Errorf("check exits with %d:\n%s%s", code, stdout, stderr)
		}
	}
}

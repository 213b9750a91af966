package discover

import (
	"context"
	"iter"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/comntr/comntr"
)

// Bounds of Find.
const (
	findWidth   = 16  // hellos asked for at once
	maxFind     = 256 // addresses tried
	findTimeout = 5 * time.Second
	findLookups = 3 // lookups, while none names anybody: UDP gets lost, nets are just starting
	findPause   = time.Second
)

// Find yields the servers of a community as they are found and have proved
// themselves by a hello: for a client that wants one now and keeps no book. It
// ends when the lookup does and all that it named were tried, or with ctx.
func Find(ctx context.Context, dht Lookuper, community comntr.Hash, guard comntr.Guard) iter.Seq[Server] {
	return func(yield func(Server) bool) {
		ask, closeIdle := askHTTP(guard)
		defer closeIdle()
		find(ctx, dht, community, ask, yield)
	}
}

func find(ctx context.Context, dht Lookuper, community comntr.Hash,
	ask func(context.Context, string, bool) (*comntr.Hello, error), yield func(Server) bool) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	addrs := make(chan netip.AddrPort, maxFind)
	servers := make(chan Server)
	var wg sync.WaitGroup
	wg.Go(func() {
		defer close(addrs)
		tried := map[netip.AddrPort]bool{}
		for range findLookups {
			dht.Lookup(ctx, community, func(ap netip.AddrPort) {
				if !tried[ap] && len(tried) < maxFind {
					tried[ap] = true
					addrs <- ap // never blocks: it holds as many as are tried
				}
			})
			if len(tried) > 0 {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(findPause):
			}
		}
	})
	for range findWidth {
		wg.Go(func() {
			for ap := range addrs {
				if ctx.Err() != nil {
					continue
				}
				tctx, cancel := context.WithTimeout(ctx, findTimeout)
				began := time.Now()
				origin := "http://" + ap.String()
				h, err := ask(tctx, origin, false)
				cancel()
				if err != nil || !slices.Contains(h.Communities, community) {
					continue
				}
				select {
				case servers <- Server{Origin: origin, Key: h.Key, Hello: h, Latency: time.Since(began), Since: began}:
				case <-ctx.Done():
				}
			}
		})
	}
	go func() { wg.Wait(); close(servers) }()
	defer func() {
		cancel()
		for range servers { // until all have ended
		}
	}()
	keys := map[string]bool{}
	for s := range servers {
		if keys[s.Key] {
			continue
		}
		keys[s.Key] = true
		if !yield(s) {
			return
		}
	}
}

package discover_test

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
)

// world is a made-up internet: servers at origins, and a DHT that names all of
// its addresses.
type world struct {
	mu      sync.Mutex
	at      map[string]*comntr.Hello // by origin; nil: nobody answers
	asked   map[string][]time.Time
	names   []netip.AddrPort // what lookups give
	lookups []time.Time
	latency map[string]time.Duration
	now     int // hellos being asked for
	most    int
}

func newWorld() *world {
	return &world{at: map[string]*comntr.Hello{}, asked: map[string][]time.Time{}, latency: map[string]time.Duration{}}
}

var errDown = errors.New("nobody answers")

func key(i int) string { return fmt.Sprintf("%064x", i) }

// serve puts a server with key i at addr, and in the DHT.
func (w *world) serve(addr string, i int) string {
	ap := netip.MustParseAddrPort(addr)
	origin := "http://" + ap.String()
	w.mu.Lock()
	defer w.mu.Unlock()
	w.at[origin] = &comntr.Hello{Key: key(i), Communities: []comntr.Hash{reddit}, Expires: time.Now().Add(24 * time.Hour)}
	w.names = append(w.names, ap)
	return origin
}

func (w *world) down(origin string) {
	w.mu.Lock()
	defer w.mu.Unlock()
	delete(w.at, origin)
}

func (w *world) times(origin string) []time.Time {
	w.mu.Lock()
	defer w.mu.Unlock()
	return slices.Clone(w.asked[origin])
}

// strangers is at how many addresses a hello was asked for.
func (w *world) strangers() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return len(w.asked)
}

// atOnce is how many hellos were asked for at the same time.
func (w *world) atOnce() int {
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.most
}

func (w *world) hello(ctx context.Context, origin string, _ bool) (*comntr.Hello, error) {
	w.mu.Lock()
	w.asked[origin] = append(w.asked[origin], time.Now())
	w.now++
	w.most = max(w.most, w.now)
	h := w.at[origin]
	d := w.latency[origin]
	w.mu.Unlock()
	if d == 0 {
		d = 10 * time.Millisecond
	}
	wait(ctx, d)
	w.mu.Lock()
	w.now--
	w.mu.Unlock()
	if h == nil {
		return nil, errDown
	}
	h2 := *h
	h2.Expires = time.Now().Add(24 * time.Hour)
	return &h2, ctx.Err()
}

func (w *world) Lookup(_ context.Context, _ comntr.Hash, fn func(netip.AddrPort)) error {
	w.mu.Lock()
	w.lookups = append(w.lookups, time.Now())
	names := slices.Clone(w.names)
	w.mu.Unlock()
	for _, ap := range names {
		fn(ap)
	}
	return nil
}

// book runs a Book in w until the test's end, in a synctest bubble.
func (w *world) book(t *testing.T, cfg discover.BookConfig) *discover.Book {
	b, stop := w.run(cfg)
	t.Cleanup(stop)
	return b
}

func (w *world) run(cfg discover.BookConfig) (*discover.Book, func()) {
	cfg.Communities = []comntr.Hash{reddit}
	cfg.Hello = w.hello
	if cfg.SelfKey == "" {
		cfg.SelfKey = key(0)
	}
	b := discover.NewBook(cfg)
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() { defer close(done); b.Run(ctx, w) }()
	return b, func() { cancel(); <-done }
}

func origins(b *discover.Book) (list []string) {
	for _, s := range b.Servers(reddit) {
		list = append(list, s.Origin)
	}
	slices.Sort(list)
	return list
}

func expect(t *testing.T, b *discover.Book, want ...string) {
	t.Helper()
	synctest.Wait()
	slices.Sort(want)
	if got := origins(b); !slices.Equal(got, want) {
		t.Errorf("servers %v, want %v", got, want)
	}
}

func TestBookFindsAndTellsOfChanges(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.serve("1.1.1.1:4080", 1)
		w.latency[a] = time.Second
		b := w.serve("2.2.2.2:4080", 2)
		c := w.serve("3.3.3.3:4080", 3) // only in b's hello
		w.names = w.names[:2]
		w.at[b].Servers = []string{c, "http://127.0.0.1:80", "http://10.0.0.1:80", "http://example.com:80", "https://4.4.4.4:443", "nonsense", a}
		book := w.book(t, discover.BookConfig{})
		if len(book.Servers(reddit)) != 0 {
			t.Error("servers before anybody was asked")
		}
		<-book.Changed()
		time.Sleep(5 * time.Second)
		expect(t, book, a, b, c)
		if s := book.Servers(reddit); s[2].Origin != a || s[2].Latency != time.Second || s[2].Key != key(1) || s[2].Named {
			t.Errorf("the slowest is %+v", s[2])
		}
		if len(book.Servers(comntr.NameHash("another"))) != 0 {
			t.Error("servers of another community")
		}
		if n := w.strangers(); n != 3 {
			t.Errorf("asked at %d addresses", n)
		}
	})
}

// gaps are the waits between tries of origin over days.
func gaps(t *testing.T, cfg discover.BookConfig, origin string, over time.Duration) (list []time.Duration) {
	w := newWorld()
	if len(cfg.Named) == 0 {
		w.names = []netip.AddrPort{netip.MustParseAddrPort(strings.TrimPrefix(origin, "http://"))}
	}
	w.book(t, cfg)
	time.Sleep(over)
	times := w.times(origin)
	for i := 1; i < len(times); i++ {
		list = append(list, times[i].Sub(times[i-1]))
	}
	return list
}

func TestBookBackOff(t *testing.T) {
	t.Parallel()
	const stranger = "http://1.1.1.1:4080"
	for name, c := range map[string]struct {
		cfg         discover.BookConfig
		first, most time.Duration
	}{
		"a stranger":          {discover.BookConfig{}, time.Hour, 24 * time.Hour},
		"named":               {discover.BookConfig{Named: []string{stranger}}, time.Second, time.Minute},
		"private allowed":     {discover.BookConfig{Guard: comntr.Guard{AllowPrivate: true}}, 2 * time.Second, time.Minute},
		"named, by its name":  {discover.BookConfig{Named: []string{"http://server.example"}}, time.Second, time.Minute},
		"named, and a second": {discover.BookConfig{Named: []string{stranger, "no origin"}}, time.Second, time.Minute},
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				origin := stranger
				if strings.Contains(name, "by its name") {
					origin = "http://server.example:80"
				}
				want := c.first
				list := gaps(t, c.cfg, origin, 20*c.most)
				if len(list) < 10 {
					t.Fatalf("asked again after %v", list)
				}
				for _, d := range list {
					if d < want*8/10 || d > want*12/10+time.Second {
						t.Fatalf("asked again after %v, wanted about %v: %v", d, want, list)
					}
					want = min(2*want, c.most)
				}
			})
		})
	}
}

func TestBookLimits(t *testing.T) {
	t.Parallel()
	several := func(n int, format string) (list []string) {
		for i := range n {
			list = append(list, fmt.Sprintf(format, i+1))
		}
		return list
	}
	for name, c := range map[string]struct {
		addrs []string
		guard comntr.Guard
		named int // of the addresses
		after time.Duration
		want  int
	}{
		"a /16":                              {addrs: several(20, "5.5.%d.1:4080"), after: time.Hour, want: 2},
		"ports of one address":               {addrs: several(20, "5.5.5.5:%d"), after: time.Hour, want: 2},
		"a /16, private allowed":             {addrs: several(20, "5.5.%d.1:4080"), guard: comntr.Guard{AllowPrivate: true}, after: time.Hour, want: 2},
		"private ones, private allowed":      {addrs: several(20, "10.5.%d.1:4080"), guard: comntr.Guard{AllowPrivate: true}, after: time.Hour, want: 20},
		"private ones":                       {addrs: several(20, "10.5.%d.1:4080"), after: time.Hour, want: 0},
		"an IPv6 /32":                        {addrs: several(20, "[2a00:1:%x::1]:4080"), after: time.Hour, want: 2},
		"several /32":                        {addrs: several(20, "[2a00:%x::1]:4080"), after: time.Hour, want: 20},
		"named ones of a /16, and strangers": {addrs: several(20, "5.5.%d.1:4080"), named: 10, after: time.Hour, want: 12},
		"newcomers":                          {addrs: several(200, "%d.1.1.1:4080")[10:100], after: 12 * time.Hour, want: 32},
		"in all":                             {addrs: several(200, "%d.1.1.1:4080")[10:100], after: 30 * time.Hour, want: 64},
		"named ones take no place":           {addrs: several(200, "%d.1.1.1:4080")[10:100], named: 10, after: 12 * time.Hour, want: 42},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			synctest.Test(t, func(t *testing.T) {
				w := newWorld()
				cfg := discover.BookConfig{Guard: c.guard}
				for i, a := range c.addrs {
					o := w.serve(a, i+1)
					if i < c.named {
						cfg.Named = append(cfg.Named, o)
					}
				}
				book := w.book(t, cfg)
				var before []string
				for range 10 {
					time.Sleep(c.after / 10)
					synctest.Wait()
					now := origins(book)
					for _, o := range before {
						if !slices.Contains(now, o) {
							t.Fatalf("%s, which works, was dropped", o)
						}
					}
					before = now
				}
				if len(before) != c.want {
					t.Errorf("%d servers, want %d", len(before), c.want)
				}
				if n := w.atOnce(); n > 8 {
					t.Errorf("%d asked at once", n)
				}
			})
		})
	}
}

// Servers known for long keep half of the places, whoever comes first.
func TestBookOldOnesFirst(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "peers")
		w := newWorld()
		var old []string
		for i := range 40 {
			old = append(old, w.serve(fmt.Sprintf("%d.7.7.7:4080", 20+i), 1+i))
		}
		_, stop := w.run(discover.BookConfig{File: file})
		time.Sleep(30 * time.Hour)
		stop()
		for i := range 100 { // and then there is a flood of newcomers
			w.serve(fmt.Sprintf("%d.8.8.8:4080", 20+i), 1000+i)
		}
		book := w.book(t, discover.BookConfig{File: file})
		time.Sleep(time.Hour)
		got := origins(book)
		if len(got) != 64 {
			t.Errorf("%d servers", len(got))
		}
		for _, o := range old {
			if !slices.Contains(got, o) {
				t.Errorf("%s, known for a day, has no place", o)
			}
		}
	})
}

func TestBookTriesAreBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		for i := range 500 {
			w.names = append(w.names, netip.AddrPortFrom(ip4(i<<16), 80))
		}
		good := w.serve("9.9.9.9:4080", 1)
		w.names = w.names[:500]
		book := w.book(t, discover.BookConfig{})
		time.Sleep(time.Minute)
		if n := w.strangers(); n < 64 || n > 64+33 {
			t.Errorf("%d strangers asked in a minute", n)
		}
		if n := w.atOnce(); n > 8 {
			t.Errorf("%d asked at once", n)
		}
		book.Candidate(good)
		time.Sleep(15 * time.Minute)
		expect(t, book, good)
	})
}

// Whoever answers DHT queries cannot have us knock at all ports of one victim.
func TestBookSparesOneAddress(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		book := w.book(t, discover.BookConfig{})
		for port := range uint16(1000) {
			book.Candidate(fmt.Sprintf("http://8.8.4.4:%d", 1000+port))
			book.Candidate(fmt.Sprintf("http://[2600::%x]:80", 1+port))
		}
		time.Sleep(10 * time.Minute)
		if n := w.strangers(); n != 8 {
			t.Errorf("%d origins of two addresses were tried: 4 each were promised", n)
		}
	})
}

func TestBookMemoryIsBounded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.serve("9.9.9.9:4080", 1)
		named := "http://server.example:80"
		book := w.book(t, discover.BookConfig{Named: []string{named}})
		time.Sleep(time.Second)
		for i := range 8_000 {
			book.Candidate(fmt.Sprintf("http://%v:80", ip4(i)))
		}
		if n := book.Known(); n != 4096 {
			t.Errorf("%d addresses are kept", n)
		}
		expect(t, book, a)
		before := len(w.times(named))
		time.Sleep(2 * time.Minute)
		if len(w.times(named)) == before {
			t.Error("the one that a person named was forgotten")
		}
	})
}

func TestBookOneKeyIsOneServer(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		self := w.serve("4.4.4.4:4080", 0)
		a := w.serve("1.1.1.1:4080", 1)
		a2 := w.serve("2.2.2.2:4080", 1)
		w.latency[a2] = time.Second // a is first
		book := w.book(t, discover.BookConfig{})
		time.Sleep(10 * time.Second)
		expect(t, book, a)
		time.Sleep(12 * time.Hour)
		if n := len(w.times(self)); n != 1 {
			t.Errorf("our own address was asked %d times", n)
		}
		// The first address dies: the other takes over at once, and it is
		// the same server.
		since := book.Servers(reddit)[0].Since
		w.down(a)
		book.Failed(a, errDown)
		time.Sleep(2 * time.Second)
		expect(t, book, a2)
		if s := book.Servers(reddit)[0]; !s.Since.Equal(since) {
			t.Errorf("known since %v, not %v", s.Since, since)
		}
	})
}

func TestBookNamedAddressWinsOverAnother(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.serve("1.1.1.1:4080", 1)
		named := w.serve("127.0.0.1:4080", 1)
		w.latency[named] = 5 * time.Second
		w.names = w.names[:1]
		book := w.book(t, discover.BookConfig{Named: []string{named + "/"}})
		time.Sleep(time.Second)
		expect(t, book, a)
		time.Sleep(10 * time.Second)
		expect(t, book, named)
		if !book.Servers(reddit)[0].Named {
			t.Error("it is not marked as named")
		}
	})
}

// What replica reports: failures leave a server alone for longer and longer,
// though its hello is fine, until it works.
func TestBookFailedAndWorked(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.serve("1.1.1.1:4080", 1)
		book := w.book(t, discover.BookConfig{})
		bad := errors.New("it sent nonsense")
		away := func() time.Duration {
			synctest.Wait()
			began := time.Now()
			changed := book.Changed()
			book.Failed(a, bad)
			<-changed
			expect(t, book)
			book.Failed(a, bad) // again says nothing new
			changed = book.Changed()
			<-changed
			expect(t, book, a)
			return time.Since(began).Round(time.Minute)
		}
		<-book.Changed()
		for _, want := range []time.Duration{time.Hour, 2 * time.Hour, 4 * time.Hour, 8 * time.Hour, 16 * time.Hour, 24 * time.Hour, 24 * time.Hour} {
			if got := away(); got < want*9/10 || got > want*11/10 {
				t.Errorf("left alone for %v, want about %v", got, want)
			}
		}
		book.Worked(a)
		for _, want := range []time.Duration{time.Minute, 2 * time.Minute, 4 * time.Minute} {
			if got := away(); got < want*9/10-time.Minute || got > want*11/10+time.Minute {
				t.Errorf("once it worked: left alone for %v, want about %v", got, want)
			}
		}
		book.Failed("http://nobody.example:80", bad)
		book.Worked("http://nobody.example:80")
	})
}

func TestBookRenewsHellos(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		a := w.serve("1.1.1.1:4080", 1)
		other := w.serve("2.2.2.2:4080", 2)
		w.at[other].Communities = []comntr.Hash{comntr.NameHash("another")}
		book := w.book(t, discover.BookConfig{})
		time.Sleep(10*time.Hour + time.Minute)
		if n := len(w.times(a)); n < 9 || n > 13 {
			t.Errorf("%d hellos in 10 h", n)
		}
		expect(t, book, a)
		w.down(a)
		time.Sleep(2 * time.Hour)
		expect(t, book)
		if n := len(w.times(other)); n > 5 {
			t.Errorf("a server of another community was asked %d times in 12 h", n)
		}
	})
}

func TestBookLooksUpAsOftenAsNeeded(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		w := newWorld()
		book := w.book(t, discover.BookConfig{})
		counted := 0
		count := func(d time.Duration) int { // those since it was last called, too
			time.Sleep(d)
			synctest.Wait()
			w.mu.Lock()
			defer w.mu.Unlock()
			n := len(w.lookups) - counted
			counted = len(w.lookups)
			return n
		}
		if n := count(30 * time.Second); n < 4 || n > 6 {
			t.Errorf("%d lookups in the first 30 s", n)
		}
		count(2 * time.Minute)
		if n := count(20 * time.Minute); n < 17 || n > 23 {
			t.Errorf("%d lookups in 20 min without a server", n)
		}
		for i := range 8 {
			w.serve(fmt.Sprintf("%d.1.1.1:4080", i+1), i+1)
		}
		count(5 * time.Minute)
		if len(book.Servers(reddit)) != 8 {
			t.Fatalf("%d servers", len(book.Servers(reddit)))
		}
		if n := count(4 * time.Hour); n < 14 || n > 18 {
			t.Errorf("%d lookups in 4 h with 8 servers", n)
		}
		book.Failed(origins(book)[0], errDown)
		if n := count(10 * time.Minute); n < 8 || n > 13 {
			t.Errorf("%d lookups in 10 min with 7 servers", n)
		}
	})
}

func TestBookFile(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		file := filepath.Join(t.TempDir(), "peers")
		w := newWorld()
		a := w.serve("1.1.1.1:4080", 1)
		named := w.serve("127.0.0.1:4080", 2)
		w.serve("3.3.3.3:4080", 0) // ourselves
		b, stop := w.run(discover.BookConfig{File: file, Named: []string{named}})
		time.Sleep(time.Minute)
		since := b.Servers(reddit)[0].Since.Truncate(time.Second)
		stop()
		text, err := os.ReadFile(file)
		if err != nil || strings.Count(string(text), "origin") != 1 || !strings.Contains(string(text), a) {
			t.Fatalf("the file: %s, %v", text, err)
		}
		w.names = nil
		time.Sleep(time.Hour)
		b, stop = w.run(discover.BookConfig{File: file})
		time.Sleep(time.Minute)
		expect(t, b, a)
		if got := b.Servers(reddit)[0].Since; !got.Equal(since) {
			t.Errorf("known since %v, not %v", got, since)
		}
		w.down(a)
		time.Sleep(31 * 24 * time.Hour)
		stop()
		if text, _ := os.ReadFile(file); strings.Contains(string(text), a) {
			t.Errorf("a month dead and still in the file: %s", text)
		}
	})
}

func TestBookHostileFile(t *testing.T) {
	t.Parallel()
	old := time.Now().Add(-48 * time.Hour).Format(time.RFC3339)
	for name, text := range map[string]string{
		"empty":      "",
		"not JSON":   "nonsense",
		"endless":    `{"servers":[` + strings.Repeat(`{"origin":"http://1.1.1.1:80"},`, 100_000),
		"wrong type": `{"servers":{"origin":1}}`,
		"private":    `{"servers":[{"origin":"http://10.0.0.1:80","since":"` + old + `","seen":"` + old + `"}]}`,
		"the future": `{"servers":[{"origin":"http://1.1.1.1:80","since":"2999-01-01T00:00:00Z","seen":"` + old + `"}]}`,
	} {
		t.Run(name, func(t *testing.T) {
			file := filepath.Join(t.TempDir(), "peers")
			if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
				t.Fatal(err)
			}
			if n := discover.NewBook(discover.BookConfig{File: file}).Known(); n != 0 {
				t.Errorf("%d servers known", n)
			}
		})
	}
}

func TestBookSaysOnceThatANamedServerIsAway(t *testing.T) {
	t.Parallel()
	synctest.Test(t, func(t *testing.T) {
		var logs lines
		w := newWorld()
		w.book(t, discover.BookConfig{Named: []string{"http://server.example"}, Log: slog.New(slog.NewTextHandler(&logs, nil))})
		time.Sleep(10 * time.Minute)
		synctest.Wait()
		if n := strings.Count(logs.String(), "does not answer"); n != 1 {
			t.Errorf("said %d times: %s", n, logs.String())
		}
	})
}

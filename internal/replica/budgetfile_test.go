package replica_test

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comntr/comntr/internal/discover"
	"github.com/comntr/comntr/internal/replica"
)

// stranger is the i-th server at an address of its own.
func stranger(i int) discover.Server {
	return discover.Server{Origin: fmt.Sprintf("http://10.%d.%d.1:80", i/256, i%256), Key: fmt.Sprintf("%064x", i)}
}

// stopAtOnce runs a replica that has nobody to follow, and stops it.
func stopAtOnce(t *testing.T, s *server) {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := s.replica.Run(ctx); err != nil {
		t.Fatal(err)
	}
}

// A restart gives nobody a new budget, and the day goes on where it was.
func TestBudgetsOverRestarts(t *testing.T) {
	w, clock, file := newWorld(t), newClock(), filepath.Join(t.TempDir(), "budgets")
	start := func(name string) *server {
		return w.serve(name, 0, clock.set, func(cfg *replica.Config) {
			cfg.StateFile = file
			cfg.Budget = replica.Budget{Files: 10, Topics: 5}
		})
	}
	const all = replica.MaxWanted + 5
	a := start("a")
	a.replica.TakeFiles(stranger(1), 4)
	a.replica.TakeFiles(stranger(2), 11)
	a.replica.TakeWanted(stranger(3), 2*all)
	stopAtOnce(t, a)
	clock.pass(23 * time.Hour)
	b := start("b")
	stopAtOnce(t, b)
	c := start("c")
	for i, want := range []int{10, 6, 0, 10} {
		if n := c.replica.TakeFiles(stranger(i), 11); n != want {
			t.Errorf("after two restarts stranger %d brought %d files, want %d", i, n, want)
		}
	}
	if n := c.replica.TakeWanted(stranger(3), 2*all); n != 0 {
		t.Errorf("after two restarts a stranger brought %d new topics more", n)
	}
	stopAtOnce(t, c)
	clock.pass(2 * time.Hour)
	d := start("d")
	if n := d.replica.Windows(); n != 1 {
		t.Errorf("%d days are remembered, want that which is not over", n)
	}
	if n := d.replica.TakeFiles(stranger(2), 11); n != 10 {
		t.Errorf("the next day a stranger brought %d files, want 10", n)
	}
	if n := d.replica.TakeWanted(stranger(3), 2*all); n != all {
		t.Errorf("the next day a stranger brought %d new topics, want %d", n, all)
	}
}

// What all brought for whom there was no room is kept too.
func TestCrowdOverRestarts(t *testing.T) {
	w, clock, file := newWorld(t), newClock(), filepath.Join(t.TempDir(), "budgets")
	start := func(name string) *server {
		return w.serve(name, 0, clock.set, func(cfg *replica.Config) { cfg.StateFile, cfg.Budget.Files = file, 2 })
	}
	a := start("a")
	for i := range replica.MaxWindows + 1 {
		if n := a.replica.TakeFiles(stranger(i), 3); n != 2 {
			t.Fatalf("stranger %d brought %d files", i, n)
		}
	}
	stopAtOnce(t, a)
	b := start("b")
	if n := b.replica.TakeFiles(stranger(replica.MaxWindows+2), 3); n != 0 {
		t.Errorf("after a restart one of the crowd brought %d files", n)
	}
	if n := b.replica.Windows(); n != replica.MaxWindows {
		t.Errorf("%d addresses are remembered, want %d", n, replica.MaxWindows)
	}
}

// Who kills the server gains minutes: the file is written while it runs.
func TestBudgetsAreSavedMeanwhile(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		w, file := newWorld(t), filepath.Join(t.TempDir(), "budgets")
		start := func(name string) *server {
			return w.serve(name, 0, func(cfg *replica.Config) { cfg.StateFile, cfg.Budget.Files = file, 10 })
		}
		a := start("a")
		stop := runHere(t, a)
		a.replica.TakeFiles(stranger(1), 11)
		time.Sleep(6 * time.Minute)
		if n := start("b").replica.TakeFiles(stranger(1), 11); n != 0 {
			t.Errorf("after a kill a stranger brought %d files", n)
		}
		stop()
	})
}

// A file that cannot be read costs the budgets, and is written anew. One with
// more entries than there is room for is read as far as there is.
func TestBudgetsDamaged(t *testing.T) {
	clock := newClock()
	type window struct {
		Address string    `json:"address"`
		Start   time.Time `json:"start"`
		Files   int       `json:"files"`
	}
	file := func(ws ...window) string {
		b, err := json.Marshal(map[string]any{"windows": ws})
		if err != nil {
			t.Fatal(err)
		}
		return string(b)
	}
	var many []window
	for i := range 2 * replica.MaxWindows {
		many = append(many, window{fmt.Sprint("10.0.0.1:", i), clock.now(), 10})
	}
	one := window{"10.0.1.1:80", clock.now(), 10}
	for _, c := range []struct {
		name, text string
		damaged    bool
		has        int // what the stranger at 10.0.1.1:80 may bring
		windows    int
	}{
		{"whole", file(one), false, 0, 1},
		{"empty", "", true, 10, 0},
		{"cut", file(one)[:40], true, 10, 0},
		{"no JSON", "10.0.1.1:80 10\n", true, 10, 0},
		{"less than nothing", file(one, window{"a", clock.now(), -1}), true, 10, 0},
		{"too long", strings.Repeat(" ", replica.MaxStateBytes) + file(one), true, 10, 0},
		{"too many", file(append(many, one)...), false, 10, replica.MaxWindows},
		{"of tomorrow", file(window{"10.0.1.1:80", clock.now().Add(26 * time.Hour), 10}), false, 10, 1},
		{"of yesterday", file(window{"10.0.1.1:80", clock.now().Add(-24 * time.Hour), 10}), false, 10, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			w, path := newWorld(t), filepath.Join(t.TempDir(), "budgets")
			if err := os.WriteFile(path, []byte(c.text), 0o600); err != nil {
				t.Fatal(err)
			}
			s := w.serve("s", 0, clock.set, func(cfg *replica.Config) { cfg.StateFile, cfg.Budget.Files = path, 10 })
			if n := s.replica.Windows(); n != c.windows {
				t.Errorf("%d addresses are remembered, want %d", n, c.windows)
			}
			if said := strings.Contains(s.log.String(), "may bring as much again"); said != c.damaged {
				t.Errorf("said to be damaged: %v\n%s", said, s.log)
			}
			if n := s.replica.TakeFiles(stranger(1), 11); n != c.has {
				t.Errorf("the stranger brought %d files, want %d", n, c.has)
			}
			stopAtOnce(t, s)
			again := w.serve("again", 0, clock.set, func(cfg *replica.Config) { cfg.StateFile, cfg.Budget.Files = path, 10 })
			if n := again.replica.TakeFiles(stranger(1), 11); n != 0 {
				t.Errorf("after a restart the stranger brought %d files more", n)
			}
		})
	}
}

package store_test

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"
)

// Of an index that cannot write its log the process dies (see indexLogger), so
// that this table is filled by processes of their own: each goes on until one
// dies, and looks at what the power would have left at that moment.

// childT is the testing.TB of such a process.
type childT struct {
	testing.TB
	failed bool
}

func (t *childT) Helper()                  {}
func (t *childT) Context() context.Context { return context.Background() }
func (t *childT) Failed() bool             { return t.failed }
func (t *childT) Logf(string, ...any)      {}
func (t *childT) Error(args ...any)        { t.Errorf("%s", fmt.Sprintln(args...)) }
func (t *childT) Errorf(f string, args ...any) {
	t.failed = true
	fmt.Printf("wrong "+f+"\n", args...)
}
func (t *childT) Fatal(args ...any) {
	t.Error(args...)
	os.Exit(1)
}
func (t *childT) Fatalf(f string, args ...any) {
	t.Errorf(f, args...)
	os.Exit(1)
}

// lastWords calls fn once the index says that it has to stop.
type lastWords struct {
	slog.Handler
	fn func()
}

func (l lastWords) Handle(_ context.Context, r slog.Record) error {
	if strings.Contains(r.Message, "can no longer be written") {
		l.fn()
	}
	return nil
}

func (l lastWords) WithAttrs([]slog.Attr) slog.Handler { return l }

func childLives(name string, persisted bool, from string) int {
	t := &childT{}
	l := lives()[name]
	n, _ := strconv.Atoi(from)
	for ; ; n++ {
		mem, p := l.begin(t)
		f := &faultFS{FS: mem, hidden: func(path string) bool { return !inIndex(path) }}
		fail := func(i int, op string) error {
			if i == n {
				return fmt.Errorf("%s: %w", op, syscall.EIO)
			}
			return nil
		}
		if f.set(fail, nil); persisted {
			f.set(nil, fail)
		}
		look := func() {
			promised := p.clone()
			for _, percent := range []int{0, 100} {
				promised.kept(t, data, mem.CrashClone(vfs.CrashCloneCfg{UnsyncedDataPercent: percent, RNG: newRand(n)}))
			}
		}
		var once sync.Once
		dying = slog.New(lastWords{slog.DiscardHandler, func() {
			once.Do(func() {
				look()
				fmt.Println("died", n)
				os.Exit(0)
			})
			select {} // another goroutine's last words: the first one's end this
		}})
		fmt.Println("at", n)
		l.run(t, f, p)
		dying = nil
		if f.count() < n {
			fmt.Println("done", n)
			return 0
		}
		look()
		if t.failed {
			return 1
		}
	}
}

// TestIndexDies makes every operation of Pebble fail in lives, once before and
// once after its work, and cuts the power as soon as the process has to stop, or
// else at the life's end.
func TestIndexDies(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes: not in short mode")
	}
	for _, name := range []string{"commits, deletes and checkpoints", "a start after a crash", "a start without an index"} {
		for _, mode := range []string{"failed", "persisted"} {
			t.Run(name+", "+mode, func(t *testing.T) {
				died := 0
				for from := 1; ; {
					cmd := child(t, "lives", strings.ReplaceAll(name, " ", "_"), mode, from)
					var stderr bytes.Buffer
					cmd.Stderr = &stderr
					out, err := cmd.Output()
					var exit *exec.ExitError
					if err != nil && !errors.As(err, &exit) {
						t.Fatal(err)
					}
					at, done := 0, false
					for line := range strings.Lines(string(out)) {
						switch word, rest, _ := strings.Cut(strings.TrimSpace(line), " "); word {
						case "at", "died":
							at, _ = strconv.Atoi(rest)
						case "done":
							at, _ = strconv.Atoi(rest)
							done = true
						default:
							t.Errorf("operation %d: %s", at, line)
						}
					}
					if t.Failed() || at < from {
						t.Fatalf("from operation %d: %v\n%s", from, err, stderr.Bytes())
					}
					if done {
						t.Logf("%d operations, %d processes died", at-1, died)
						if at < 30 || died < 3 {
							t.Error("that is few")
						}
						return
					}
					died++
					from = at + 1
				}
			})
		}
	}
}

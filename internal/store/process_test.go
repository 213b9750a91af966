package store_test

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/cockroachdb/pebble/v2/vfs"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// These tests run the test's own binary again, as a process that can be
// killed: COMNTR_STORE_TEST_CHILD says what it is to do, and its standard
// output has one line for each comment that was acknowledged.

const childEnv = "COMNTR_STORE_TEST_CHILD"

func runChild(what string) int {
	args := strings.Split(what, " ")
	switch args[0] {
	case "lock": // takes the lock, says so, and waits to be killed
		if _, err := store.Lock(args[1]); err != nil {
			fmt.Println(err)
			return 1
		}
		fmt.Println("locked")
		io.Copy(io.Discard, os.Stdin)
		return 0
	case "add": // adds comments from many goroutines until it is killed
		return childAdds(args[1], vfs.Default, 16, 1000)
	case "lives": // index operations fail in a life: see TestIndexDies
		return childLives(strings.ReplaceAll(args[1], "_", " "), args[2] == "persisted", args[3])
	case "fault": // adds comments one by one, until an operation on the index fails
		n, _ := strconv.Atoi(args[2])
		f := &faultFS{FS: vfs.Default, hidden: func(p string) bool { return !inIndex(p) }}
		fail := func(i int, op string) error {
			if i == n {
				return fmt.Errorf("%s: %w", op, syscall.EIO)
			}
			return nil
		}
		if args[3] == "persisted" {
			f.set(nil, fail)
		} else {
			f.set(fail, nil)
		}
		code := childAdds(args[1], f, 1, 4)
		if f.count() < n {
			fmt.Println("done")
		}
		return code
	}
	return 2
}

func childAdds(dir string, fsys vfs.FS, writers, each int) int {
	s, err := store.Open(dir, reddit, store.Options{FS: fsys})
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	var mu sync.Mutex
	var wg sync.WaitGroup
	ctx := context.Background()
	for w := range writers {
		wg.Go(func() {
			for i := range each {
				topic := comntr.NameHash(fmt.Sprint("topic ", i%20))
				d, err := comntr.ParseDocument(comntr.Place{Community: reddit, Topic: topic}, fmt.Appendf(nil, "comment %d of %d", i, w))
				if err != nil {
					panic(err)
				}
				if _, err := s.Add(ctx, d, ""); err != nil {
					fmt.Fprintln(os.Stderr, err)
					return
				}
				mu.Lock()
				fmt.Println(topic, d.ID())
				mu.Unlock()
			}
		})
	}
	wg.Wait()
	if err := s.Close(); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	return 0
}

func child(t *testing.T, args ...any) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), exe)
	cmd.Env = append(os.Environ(), childEnv+"="+strings.TrimSpace(fmt.Sprintln(args...)))
	return cmd
}

// SIGKILL in the middle of many commits: all that was acknowledged is there,
// the tree equals the index, and nothing is half done.
func TestKill(t *testing.T) {
	rounds := []int{1, 40, 400, 900}
	if testing.Short() {
		rounds = rounds[2:3]
	}
	for _, after := range rounds {
		t.Run(fmt.Sprintf("after %d", after), func(t *testing.T) {
			dir := t.TempDir()
			cmd := child(t, "add", dir)
			out, err := cmd.StdoutPipe()
			if err != nil {
				t.Fatal(err)
			}
			if err := cmd.Start(); err != nil {
				t.Fatal(err)
			}
			var acked []string
			lines := bufio.NewScanner(out)
			for lines.Scan() {
				acked = append(acked, lines.Text())
				if len(acked) == after {
					if err := cmd.Process.Kill(); err != nil {
						t.Error(err)
					}
				}
			}
			if err := cmd.Wait(); err == nil {
				t.Error("the child was to be killed")
			}
			held := CheckStore(t, dir, vfs.Default)
			for _, line := range acked {
				if !held[strings.Replace(line, " ", "/", 1)] {
					t.Errorf("an acknowledged comment is lost: %s", line)
				}
			}
			t.Logf("%d acknowledged, %d held", len(acked), len(held))
		})
	}
}

// Any operation of Pebble fails, once before and once after its work: the
// process may stop, with a message, but what it acknowledged is safe.
func TestIndexErrors(t *testing.T) {
	if testing.Short() {
		t.Skip("starts many processes: not in short mode")
	}
	for _, mode := range []string{"failed", "persisted"} {
		for n := 1; ; n++ {
			dir := t.TempDir()
			cmd := child(t, "fault", dir, n, mode)
			var stderr bytes.Buffer
			cmd.Stderr = &stderr
			out, err := cmd.Output()
			var exit *exec.ExitError
			if err != nil && !errors.As(err, &exit) {
				t.Fatal(err)
			}
			if err != nil && stderr.Len() == 0 {
				t.Errorf("operation %d %s: stopped without a message", n, mode)
			}
			held := CheckStore(t, dir, vfs.Default)
			done := false
			for line := range strings.Lines(string(out)) {
				line = strings.TrimSpace(line)
				if line == "done" {
					done = true
				} else if !held[strings.Replace(line, " ", "/", 1)] {
					t.Errorf("an acknowledged comment is lost: %s", line)
				}
			}
			if t.Failed() {
				t.Fatalf("operation %d %s: %v\n%s", n, mode, err, stderr.Bytes())
			}
			if done {
				t.Logf("%d operations", n)
				break
			}
		}
	}
}

func TestLock(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data")
	l, err := store.Lock(dir)
	if err != nil {
		t.Fatal(err)
	}
	if fi, err := os.Stat(filepath.Join(dir, ".comntr")); err != nil || fi.Mode().Perm() != 0o700 {
		t.Errorf(".comntr: %v, %v", fi.Mode(), err)
	}
	if _, err := store.Lock(dir); !errors.Is(err, store.ErrLocked) {
		t.Errorf("a second time: %v", err)
	}
	out, err := child(t, "lock", dir).Output()
	if want := fmt.Sprintf("(pid %d) uses %s", os.Getpid(), dir); err == nil || !strings.Contains(string(out), want) {
		t.Errorf("another process says %q, want %q", out, want)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	// A process that is killed leaves the lock free.
	cmd := child(t, "lock", dir)
	stdin, err1 := cmd.StdinPipe()
	stdout, err2 := cmd.StdoutPipe()
	if err := errors.Join(err1, err2, cmd.Start()); err != nil {
		t.Fatal(err)
	}
	defer stdin.Close()
	if line, err := bufio.NewReader(stdout).ReadString('\n'); line != "locked\n" {
		t.Fatalf("%q, %v", line, err)
	}
	_, err = store.Lock(dir)
	if want := fmt.Sprintf("(pid %d)", cmd.Process.Pid); !errors.Is(err, store.ErrLocked) || !strings.Contains(err.Error(), want) {
		t.Errorf("%v, want %s", err, want)
	}
	if err := cmd.Process.Kill(); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	l, err = store.Lock(dir)
	if err != nil {
		t.Fatalf("after SIGKILL: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
}

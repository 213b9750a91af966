package main

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// terminal is the far end of a pseudo-terminal: what a person sees of it.
type terminal struct {
	far  *os.File
	mu   sync.Mutex
	seen strings.Builder // guarded by mu
}

// openTerminal returns the two ends; near is what a process gets.
func openTerminal(t *testing.T) (*terminal, *os.File) {
	t.Helper()
	far, err := os.OpenFile("/dev/ptmx", os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no pseudo-terminals here: %v", err)
	}
	t.Cleanup(func() { far.Close() })
	fd := int(far.Fd())
	if err := unix.IoctlSetPointerInt(fd, unix.TIOCSPTLCK, 0); err != nil {
		t.Fatal(err)
	}
	n, err := unix.IoctlGetInt(fd, unix.TIOCGPTN)
	if err != nil {
		t.Fatal(err)
	}
	near, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|syscall.O_NOCTTY, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { near.Close() })
	term := &terminal{far: far}
	go func() {
		b := make([]byte, 4096)
		for {
			n, err := far.Read(b)
			term.mu.Lock()
			term.seen.Write(b[:n])
			term.mu.Unlock()
			if err != nil {
				return
			}
		}
	}()
	return term, near
}

func (term *terminal) screen() string {
	term.mu.Lock()
	defer term.mu.Unlock()
	return term.seen.String()
}

// shows waits until the screen has text: what a process wrote may be read only
// after its end.
func (term *terminal) shows(t *testing.T, text string) {
	t.Helper()
	eventually(t, time.Minute, func() error {
		if !strings.Contains(term.screen(), text) {
			return fmt.Errorf("the screen shows %q, not %q", term.screen(), text)
		}
		return nil
	})
}

// echoes reports whether the terminal shows what is typed.
func echoes(t *testing.T, near *os.File) bool {
	t.Helper()
	s, err := unix.IoctlGetTermios(int(near.Fd()), unix.TCGETS)
	if err != nil {
		t.Fatal(err)
	}
	return s.Lflag&unix.ECHO != 0
}

// TestNoEcho: a passphrase is not seen as it is typed, and the terminal shows
// again what is typed afterwards, even after Ctrl-C.
func TestNoEcho(t *testing.T) {
	dir := t.TempDir()
	run := func(t *testing.T, args ...string) (*terminal, *os.File, func() int) {
		term, near := openTerminal(t)
		cmd := comntrCmd(t, args...)
		cmd.Env = append(cmd.Env, "XDG_CONFIG_HOME="+filepath.Join(dir, "config"), "COMNTR_PASSPHRASE=")
		cmd.Stdin, cmd.Stdout, cmd.Stderr = near, near, near
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		exited := make(chan int, 1)
		go func() {
			cmd.Wait()
			exited <- cmd.ProcessState.ExitCode()
		}()
		t.Cleanup(func() { cmd.Process.Kill() })
		return term, near, func() int {
			t.Helper()
			select {
			case code := <-exited:
				return code
			case <-time.After(time.Minute):
				t.Fatalf("it does not end; the screen:\n%s", term.screen())
				return -1
			}
		}
	}
	// typeAt types a line once the prompt stands there and the echo is off.
	typeAt := func(t *testing.T, term *terminal, near *os.File, prompt, keys string) {
		t.Helper()
		eventually(t, time.Minute, func() error {
			if !strings.Contains(term.screen(), prompt) || echoes(t, near) {
				return fmt.Errorf("the screen shows %q", term.screen())
			}
			return nil
		})
		if _, err := term.far.WriteString(keys); err != nil {
			t.Fatal(err)
		}
	}
	term, _, exit := run(t, "key", "new", "zero")
	if exit() != exitOK {
		t.Fatal(term.screen())
	}

	t.Run("typed twice", func(t *testing.T) {
		term, near, exit := run(t, "key", "export", "--file", filepath.Join(dir, "a.age"))
		typeAt(t, term, near, "Passphrase for", "correct horse\n")
		typeAt(t, term, near, "Once more: ", "correct horse\n")
		if code := exit(); code != exitOK {
			t.Errorf("exit code %d; the screen:\n%s", code, term.screen())
		}
		term.shows(t, "Once more: \r\n") // all that was written before has been read
		if strings.Contains(term.screen(), "horse") {
			t.Errorf("the passphrase stands on the screen:\n%s", term.screen())
		}
		if !echoes(t, near) {
			t.Error("the terminal was left without echo")
		}
	})
	t.Run("given up", func(t *testing.T) {
		term, near, exit := run(t, "key", "export", "--file", filepath.Join(dir, "b.age"))
		typeAt(t, term, near, "Passphrase for", "corr\x03")
		if code := exit(); code != exitFailed {
			t.Errorf("exit code %d; the screen:\n%s", code, term.screen())
		}
		if !echoes(t, near) {
			t.Error("the terminal was left without echo")
		}
		if _, err := os.Stat(filepath.Join(dir, "b.age")); err == nil {
			t.Error("a file was written")
		}
	})
	t.Run("words typed", func(t *testing.T) {
		term, _, exit := run(t, "key", "import", "typed")
		term.shows(t, "The 24 words: ")
		// Over two lines, and without an end of file.
		half := strings.Repeat("abandon ", 12)
		fmt.Fprintf(term.far, "%s\n%sart\n", half, strings.Repeat("abandon ", 11))
		if code := exit(); code != exitOK {
			t.Errorf("exit code %d; the screen:\n%s", code, term.screen())
		}
		term.shows(t, "typed 3b6a27bcceb6a42d62a3a8d02a6f0d73653215771de243a63ac048a18b59da29")
	})
}

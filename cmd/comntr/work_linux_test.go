package main

import (
	"strings"
	"syscall"
	"testing"
	"time"
)

// On a terminal a bar shows how the payment gets on; Ctrl-C ends it at once, and
// takes the bar away.
func TestStopWhilePaying(t *testing.T) {
	url, _ := wanting(t, func(int) int { return maxPaid })
	term, near := openTerminal(t)
	text := strings.Repeat("x", 60000) // hours
	cmd := comntrCmd(t, "post", "/r/news", text, "--anonymous", "--server", url)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = near, near, near
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	defer cmd.Process.Kill()
	term.shows(t, "\rpaying 28 bits of work [..............................]   0%\x1b[K")
	stopped := time.Now()
	if _, err := term.far.WriteString("\x03"); err != nil {
		t.Fatal(err)
	}
	cmd.Wait()
	if code := cmd.ProcessState.ExitCode(); code != exitFailed {
		t.Errorf("exit code %d", code)
	}
	if d := time.Since(stopped); d > 10*time.Second {
		t.Errorf("it went on for %v", d)
	}
	term.shows(t, "\r\x1b[Kcomntr: stopped before the work was paid: nothing was posted\r\n")
}

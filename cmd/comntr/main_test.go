package main

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/comntr/comntr"
)

// The test binary is comntr itself when this is in its environment, so the
// tests run what people run, as processes of their own.
const asMain = "COMNTR_TEST_MAIN"

func TestMain(m *testing.M) {
	if os.Getenv(asMain) != "" {
		main()
		return
	}
	os.Exit(m.Run())
}

// comntrCmd is a command line of the binary, not started.
func comntrCmd(t testing.TB, args ...string) *exec.Cmd {
	t.Helper()
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	cmd := exec.Command(exe, args...)
	cmd.Env = append(os.Environ(), asMain+"=1")
	return cmd
}

// server is a running `comntr serve`.
type server struct {
	t                 testing.TB
	cmd               *exec.Cmd
	data              string
	http, dht, peerID string
	webTransport      string // https://HOST:PORT
	admin             string // http://HOST:PORT, where there is one
	stderr            *tail
	client            *comntr.Client
	exited            chan error
}

// serve starts a server on loopback with ports of its own, alone unless flags
// name others.
func serve(t testing.TB, data string, flags ...string) *server {
	t.Helper()
	args := append([]string{"serve", "--data", data, "--listen", "127.0.0.1:0", "--dht-listen", "127.0.0.1:0",
		"--rate", "0", "--max-disk", "8GiB"}, flags...)
	if !slices.Contains(flags, "--no-allow-private") {
		args = append(args, "--allow-private")
	}
	for flag, value := range map[string]string{
		"--dht-bootstrap":       "none",
		"--ipfs-bootstrap":      "none",
		"--ipfs-listen":         "/ip4/127.0.0.1/tcp/0,/ip4/127.0.0.1/udp/0/quic-v1",
		"--rtc-listen":          "127.0.0.1:0",
		"--tracker":             "none",
		"--stun":                "none",
		"--webtransport-listen": "127.0.0.1:0",
	} {
		if !slices.Contains(flags, flag) {
			args = append(args, flag, value)
		}
	}
	return startServer(t, data, comntrCmd(t, args...))
}

// startServer runs a command line of `comntr serve` and waits for its line.
func startServer(t testing.TB, data string, cmd *exec.Cmd) *server {
	t.Helper()
	s := &server{t: t, cmd: cmd, data: data, stderr: &tail{}, exited: make(chan error, 1)}
	s.cmd.Stderr = s.stderr
	stdout, err := s.cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := s.cmd.Start(); err != nil {
		t.Fatal(err)
	}
	first := make(chan string, 1)
	go func() {
		r := bufio.NewReader(stdout)
		line, _ := r.ReadString('\n')
		first <- line
		io.Copy(io.Discard, r)
		s.exited <- s.cmd.Wait()
		close(s.exited)
	}()
	t.Cleanup(s.kill)
	select {
	case line := <-first:
		for f := range strings.FieldsSeq(line) {
			k, v, _ := strings.Cut(f, "=")
			switch k {
			case "http":
				s.http = v
			case "dht":
				s.dht = v
			case "webtransport":
				s.webTransport = v
			case "peer-id":
				s.peerID = v
			case "admin":
				s.admin = v
			}
		}
	case <-time.After(30 * time.Second):
	}
	if s.http == "" {
		s.kill()
		t.Fatalf("the server did not start:\n%s", s.stderr)
	}
	if s.client, err = comntr.NewClient(s.http, comntr.Guard{AllowPrivate: true}.HTTPClient()); err != nil {
		t.Fatal(err)
	}
	return s
}

// kill is SIGKILL; a server that has ended already is fine.
func (s *server) kill() {
	s.cmd.Process.Kill()
	<-s.exited
}

// stop is SIGTERM, and what a person may expect of it: exit 0, soon.
func (s *server) stop() {
	s.t.Helper()
	start := time.Now()
	s.cmd.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.exited:
		if err != nil {
			s.t.Fatalf("the server stopped with %v:\n%s", err, s.stderr)
		}
	case <-time.After(time.Minute):
		s.cmd.Process.Signal(syscall.SIGQUIT)
		<-s.exited
		s.t.Fatalf("the server did not stop within a minute:\n%s", s.stderr)
	}
	// Under 5 s is promised, of a machine that is not busy with other tests.
	if d := time.Since(start); d > 15*time.Second {
		s.t.Errorf("the server took %s to stop", d)
	}
}

// comment i of topic t, as the scripts of whole networks make them.
func comment(topic, i int) (comntr.Place, []byte) {
	p := comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash("topic-" + strconv.Itoa(topic))}
	return p, fmt.Appendf(nil, "comment %d of topic %d", i, topic)
}

// postAll posts n comments over the given number of topics.
func postAll(t testing.TB, s *server, n, topics int) {
	t.Helper()
	postEach(t, s, n, func(i int) (comntr.Place, []byte) { return comment(i%topics, i) })
}

// postEach posts what each gives for 0 to n-1, 32 at a time.
func postEach(t testing.TB, s *server, n int, each func(i int) (comntr.Place, []byte)) {
	t.Helper()
	var wg sync.WaitGroup
	errs := make(chan error, 32)
	for w := range 32 {
		wg.Go(func() {
			for i := w; i < n; i += 32 {
				p, b := each(i)
				if _, _, err := s.client.Post(context.Background(), p, b); err != nil {
					errs <- err
					return
				}
			}
		})
	}
	wg.Wait()
	select {
	case err := <-errs:
		t.Fatalf("post: %v\n%s", err, s.stderr)
	default:
	}
}

// eventually fails the test if try has not succeeded when d has passed.
func eventually(t testing.TB, d time.Duration, try func() error) time.Duration {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), d)
	defer cancel()
	start := time.Now()
	if err := until(ctx, try); err != nil {
		t.Fatalf("not within %s: %v", d, err)
	}
	return time.Since(start)
}

// output runs the binary to its end and returns what it printed and its exit
// code.
func output(t testing.TB, stdin string, args ...string) (stdout, stderr string, code int) {
	t.Helper()
	cmd := comntrCmd(t, args...)
	var o, e bytes.Buffer
	cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(stdin), &o, &e
	err := cmd.Run()
	if err != nil && cmd.ProcessState == nil {
		t.Fatal(err)
	}
	return o.String(), e.String(), cmd.ProcessState.ExitCode()
}

// TestScripts runs testdata/script: the command line as scripts use it.
func TestScripts(t *testing.T) {
	exe, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(e *testscript.Env) error {
			bin := filepath.Join(e.WorkDir, ".bin")
			if err := os.Mkdir(bin, 0o755); err != nil {
				return err
			}
			e.Setenv("PATH", bin+string(filepath.ListSeparator)+e.Getenv("PATH"))
			e.Setenv(asMain, "1")
			e.Setenv("HOME", filepath.Join(e.WorkDir, "home"))
			return os.Symlink(exe, filepath.Join(bin, "comntr"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			// exits CODE PROGRAM ARG...: runs it and checks the exit code.
			"exits": func(ts *testscript.TestScript, neg bool, args []string) {
				want, err := strconv.Atoi(args[0])
				ts.Check(err)
				err = ts.Exec(args[1], args[2:]...)
				got := 0
				if err != nil {
					x, ok := err.(*exec.ExitError)
					if !ok {
						ts.Fatalf("%v", err)
					}
					got = x.ExitCode()
				}
				if got != want {
					ts.Fatalf("%s exited with %d, not %d", strings.Join(args[1:], " "), got, want)
				}
			},
			// serve NAME FLAG...: starts a server on $WORK/NAME and sets
			// $NAME_HTTP, $NAME_DHT, $NAME_ADMIN and $NAME_PEER.
			"serve": func(ts *testscript.TestScript, neg bool, args []string) {
				s := serve(t, ts.MkAbs(args[0]), args[1:]...)
				ts.Defer(s.kill)
				up := strings.ToUpper(args[0])
				ts.Setenv(up+"_HTTP", s.http)
				ts.Setenv(up+"_DHT", s.dht)
				ts.Setenv(up+"_ADMIN", s.admin)
				ts.Setenv(up+"_PEER", s.peerID)
				ts.Setenv(up+"_PID", strconv.Itoa(s.cmd.Process.Pid))
			},
			// eventually PROGRAM ARG...: runs it again and again until it succeeds.
			"eventually": func(ts *testscript.TestScript, neg bool, args []string) {
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				ts.Check(until(ctx, func() error { return ts.Exec(args[0], args[1:]...) }))
			},
			// old2019 DIR: writes a data folder of the 2019 network.
			"old2019": func(ts *testscript.TestScript, neg bool, args []string) {
				s := writeSample2019(t, ts.MkAbs(args[0]))
				ts.Setenv("BLOG", s.blog.String())
				ts.Setenv("PARENT", s.parent.String())
			},
			// signal PID NAME: KILL or TERM, and waits until it is gone.
			"signal": func(ts *testscript.TestScript, neg bool, args []string) {
				pid, err := strconv.Atoi(args[0])
				ts.Check(err)
				ts.Check(syscall.Kill(pid, map[string]syscall.Signal{"KILL": syscall.SIGKILL, "TERM": syscall.SIGTERM}[args[1]]))
				ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
				defer cancel()
				ts.Check(until(ctx, func() error {
					if syscall.Kill(pid, 0) == nil {
						return fmt.Errorf("process %d is still there", pid)
					}
					return nil
				}))
			},
		},
	})
}

package main

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"time"
)

const (
	startTime  = 10 * time.Minute // until a server says that it listens
	stopTime   = time.Minute
	settleTime = 2 * time.Minute
	keptErrors = 4 << 10 // bytes of what a server said last
	// settledScale: below it figures mean nothing, and no checkpoint is waited for.
	settledScale = 0.02
)

// process is a server that runs.
type process struct {
	cmd         *exec.Cmd
	http, admin string
	exited      chan struct{}
	errors      *tail
	began       time.Time
}

// serve starts the program with everything that a server has by default, on
// loopback and alone.
func (b *bench) serve(data string, flags ...string) (*process, error) {
	return b.start(b.comntr, append([]string{"serve", "--community", community, "--data", data,
		"--listen", "127.0.0.1:0", "--dht-listen", "127.0.0.1:0", "--dht-bootstrap", "none", "--ipfs-bootstrap", "none",
		"--rtc-listen", "127.0.0.1:0", "--tracker", "none", "--stun", "none", "--webtransport-listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0",
		"--allow-private", "--rate", "0", "--max-disk", "200GiB"}, flags...)...)
}

// overIPFS lets servers use IPFS between them, as they do by default.
func overIPFS(flags ...string) []string {
	return append(flags, "--ipfs-listen", "/ip4/127.0.0.1/tcp/0")
}

// overHTTP has them use nothing else than HTTP.
func overHTTP(flags ...string) []string { return append(flags, "--ipfs-listen", "none") }

func (b *bench) serveBare() (*process, error) { return b.start(b.self, bareCommand) }

func (b *bench) start(program string, args ...string) (*process, error) {
	p := &process{cmd: exec.CommandContext(b.ctx, program, args...), exited: make(chan struct{}), errors: &tail{}}
	p.cmd.Stderr = p.errors
	// Servers have all cores, whatever this program was told to do with.
	p.cmd.Env = append(os.Environ(), "GOMAXPROCS=")
	out, err := p.cmd.StdoutPipe()
	if err != nil {
		return nil, err
	}
	p.began = time.Now()
	if err := p.cmd.Start(); err != nil {
		return nil, err
	}
	b.alive = append(b.alive, p)
	first := make(chan string, 1)
	go func() {
		r := bufio.NewReader(out)
		line, _ := r.ReadString('\n')
		first <- line
		io.Copy(io.Discard, r)
		p.cmd.Wait()
		close(p.exited)
	}()
	late := time.NewTimer(startTime)
	defer late.Stop()
	select {
	case line := <-first:
		for f := range strings.FieldsSeq(line) {
			switch k, v, _ := strings.Cut(f, "="); k {
			case "http":
				p.http = v
			case "admin":
				p.admin = v
			}
		}
	case <-late.C:
	}
	if p.http == "" {
		p.kill()
		return nil, fmt.Errorf("%s did not start: %s", filepath.Base(program), p.errors)
	}
	return p, nil
}

// stop asks it to end, as a service manager does.
func (p *process) stop() error {
	p.cmd.Process.Signal(syscall.SIGTERM)
	late := time.NewTimer(stopTime)
	defer late.Stop()
	select {
	case <-p.exited:
	case <-late.C:
		p.kill()
		return errors.New("the server did not end when it was asked to")
	}
	if code := p.cmd.ProcessState.ExitCode(); code > 0 {
		return fmt.Errorf("the server ended with %d: %s", code, p.errors)
	}
	return nil
}

// kill is kill -9.
func (p *process) kill() {
	p.cmd.Process.Kill()
	<-p.exited
}

func (b *bench) killAll() {
	for _, p := range b.alive {
		p.kill()
	}
}

// plainly asks for what is not compressed: that would cost the server as much again
// as all its counting, while it is being measured.
var plainly = &http.Client{Transport: &http.Transport{DisableCompression: true}, Timeout: answerTime}

// metrics are all that the server counts, by name and labels.
func (p *process) metrics() (map[string]float64, error) {
	w, err := plainly.Get(p.admin + "/metrics")
	if err != nil {
		return nil, err
	}
	defer w.Body.Close()
	all := map[string]float64{}
	lines := bufio.NewScanner(w.Body)
	for lines.Scan() {
		name, value, ok := strings.Cut(lines.Text(), " ")
		if !ok || strings.HasPrefix(name, "#") {
			continue
		}
		if i := strings.LastIndexByte(value, ' '); i >= 0 { // a label with a space in it
			value = value[i+1:]
		}
		if v, err := strconv.ParseFloat(value, 64); err == nil {
			all[name] = v
		}
	}
	return all, lines.Err()
}

// ofCommunity is the name of a metric that each community has.
func ofCommunity(name string) string { return "comntr_" + name + `{community="` + community + `"}` }

// settle waits until what was posted is in files that are durable, and the
// server has nothing left to do: else what is measured next pays for it.
func (b *bench) settle(p *process) error {
	end := time.Now().Add(settleTime)
	for {
		m, err := p.metrics()
		if err != nil {
			return err
		}
		before, err := p.cpu()
		if err != nil {
			return err
		}
		const look = 250 * time.Millisecond
		if err := b.wait(look); err != nil {
			return err
		}
		after, err := p.cpu()
		if err != nil {
			return err
		}
		if (m[ofCommunity("journal_entries")] == 0 || b.scale < settledScale) && after-before <= look/10 {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("the server is not at rest after %s", settleTime)
		}
	}
}

// profile writes a CPU profile of the server's next d beside what is measured,
// where that is wanted.
func (b *bench) profile(p *process, name string, d time.Duration) (wait func()) {
	if b.profs == "" || p.admin == "" {
		return func() {}
	}
	var wg sync.WaitGroup
	wg.Go(func() {
		w, err := http.Get(fmt.Sprintf("%s/debug/pprof/profile?seconds=%d", p.admin, max(1, int(d.Seconds()))))
		if err != nil {
			b.say("no profile: %v", err)
			return
		}
		defer w.Body.Close()
		f, err := os.Create(filepath.Join(b.profs, name+".pprof"))
		if err != nil {
			b.say("no profile: %v", err)
			return
		}
		defer f.Close()
		if _, err := io.Copy(f, w.Body); err != nil {
			b.say("no profile: %v", err)
		}
	})
	return wg.Wait
}

// ticks are how many of /proc's units of time a second has: USER_HZ, which is
// 100 wherever Go runs on Linux.
const ticks = 100

// cpu is how long the process ran on any core.
func (p *process) cpu() (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.cmd.Process.Pid))
	if err != nil {
		return 0, err
	}
	// The program's name may have spaces; it ends with the last ")".
	f := bytes.Fields(b[bytes.LastIndexByte(b, ')')+1:])
	if len(f) < 13 {
		return 0, fmt.Errorf("/proc/…/stat: %q", b)
	}
	return time.Duration(digits(f[11])+digits(f[12])) * time.Second / ticks, nil
}

// memory is what of the process is in memory, and how much of it is no file's.
func (p *process) memory() (resident, anonymous float64, err error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/smaps_rollup", p.cmd.Process.Pid))
	if err != nil {
		return 0, 0, err
	}
	for line := range strings.Lines(string(b)) {
		f := strings.Fields(line)
		if len(f) != 3 {
			continue
		}
		switch kib := float64(digits([]byte(f[1]))); f[0] {
		case "Rss:":
			resident = kib * 1024
		case "Anonymous:":
			anonymous = kib * 1024
		}
	}
	return resident, anonymous, nil
}

// tail keeps the end of what is written.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(b []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, b...)
	t.b = t.b[max(0, len(t.b)-keptErrors):]
	return len(b), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

package main

import (
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"
)

// hosts are computers of a network of their own: network namespaces on one
// switch, which is in a namespace too, so that no packet leaves them.
type hosts struct {
	t      *testing.T
	prefix string
}

func newHosts(t *testing.T) *hosts {
	t.Helper()
	needs(t, "ip")
	h := &hosts{t, fmt.Sprintf("comntr-%d-", os.Getpid())}
	if err := exec.Command("ip", "netns", "add", h.prefix+"switch").Run(); err != nil {
		if os.Getenv("CI") != "" {
			t.Fatalf("make a network namespace: %v", err)
		}
		t.Skipf("making network namespaces needs root: %v", err)
	}
	t.Cleanup(func() { exec.Command("ip", "netns", "del", h.prefix+"switch").Run() })
	h.ip("-n", h.prefix+"switch", "link", "add", "br0", "type", "bridge")
	h.ip("-n", h.prefix+"switch", "link", "set", "br0", "up")
	return h
}

func (h *hosts) ip(args ...string) {
	h.t.Helper()
	if out, err := exec.Command("ip", args...).CombinedOutput(); err != nil {
		h.t.Fatalf("ip %s: %v\n%s", strings.Join(args, " "), err, out)
	}
}

// add makes a host that has an address on the switch.
func (h *hosts) add(name, addr string) {
	h.t.Helper()
	ns := h.prefix + name
	h.ip("netns", "add", ns)
	h.t.Cleanup(func() { exec.Command("ip", "netns", "del", ns).Run() })
	h.ip("-n", h.prefix+"switch", "link", "add", "name", name, "type", "veth", "peer", "name", "eth0", "netns", ns)
	h.ip("-n", h.prefix+"switch", "link", "set", "dev", name, "master", "br0", "up")
	h.ip("-n", ns, "link", "set", "lo", "up")
	h.ip("-n", ns, "link", "set", "eth0", "up")
	h.ip("-n", ns, "addr", "add", addr+"/8", "dev", "eth0")
}

// move gives a host another address, as a provider does overnight.
func (h *hosts) move(name, from, to string) {
	h.t.Helper()
	ns := h.prefix + name
	h.ip("-n", ns, "addr", "del", from+"/8", "dev", "eth0")
	h.ip("-n", ns, "addr", "add", to+"/8", "dev", "eth0")
}

// run runs the binary on a host, to its end.
func (h *hosts) run(name string, args ...string) (stdout string, err error) {
	cmd := h.command(name, args...)
	var stderr strings.Builder
	cmd.Stderr = &stderr
	out, err := cmd.Output()
	if err != nil {
		err = fmt.Errorf("comntr %s on %s: %w\n%s", strings.Join(args, " "), name, err, stderr.String())
	}
	return string(out), err
}

func (h *hosts) command(name string, args ...string) *exec.Cmd {
	return h.on(name, comntrCmd(h.t, args...))
}

// on has a program run on a host.
func (h *hosts) on(name string, cmd *exec.Cmd) *exec.Cmd {
	cmd.Args = append([]string{"ip", "netns", "exec", h.prefix + name, cmd.Path}, cmd.Args[1:]...)
	path, err := exec.LookPath("ip")
	if err != nil {
		h.t.Fatal(err)
	}
	cmd.Path = path
	return cmd
}

// servers are the origins that the host's own search finds.
func (h *hosts) servers(name, bootstrap string) ([]string, error) {
	out, err := h.run(name, "servers", "--json", "--dht-bootstrap", bootstrap)
	if err != nil {
		return nil, err
	}
	var origins []string
	for d := json.NewDecoder(strings.NewReader(out)); d.More(); {
		var s struct{ URL string }
		if err := d.Decode(&s); err != nil {
			return nil, err
		}
		origins = append(origins, s.URL)
	}
	slices.Sort(origins)
	return origins, nil
}

// TestE2EPublic runs servers as on the internet: addresses of many networks,
// the ports and limits that come without flags, and strangers' private
// addresses refused. One of them is given another address, and is found there.
func TestE2EPublic(t *testing.T) {
	e2e(t)
	h := newHosts(t)
	addrs := map[string]string{"a": "45.10.0.1", "b": "45.20.0.1", "c": "45.30.0.1", "d": "45.40.0.1"}
	h.add("client", "45.90.0.1")
	running := map[string]*server{}
	for _, name := range []string{"a", "b", "c", "d"} {
		h.add(name, addrs[name])
		bootstrap := addrs["a"] + ":4080"
		if name == "a" {
			bootstrap = "none"
		}
		data := t.TempDir()
		running[name] = startServer(t, data, h.command(name, "serve", "--data", data, "--max-disk", "1GiB",
			"--dht-bootstrap", bootstrap, "--ipfs-bootstrap", "none", "--sync-interval", "2s", "--log-level", "debug"))
	}
	const bootstrap = "45.10.0.1:4080"
	found := func(want ...string) func() error {
		return func() error {
			got, err := h.servers("client", bootstrap)
			if err == nil && !slices.Equal(got, want) {
				err = fmt.Errorf("found %v, not %v", got, want)
			}
			return err
		}
	}
	took := eventually(t, time.Minute, found("http://45.10.0.1:4080", "http://45.20.0.1:4080", "http://45.30.0.1:4080", "http://45.40.0.1:4080"))
	t.Logf("four servers found one another after %s", took.Round(time.Millisecond))

	id, err := h.run("client", "post", "/r/news", "posted where nobody is on a LAN", "--dht-bootstrap", bootstrap)
	if err != nil {
		t.Fatal(err)
	}
	took = eventually(t, time.Minute, func() error {
		for _, addr := range addrs {
			out, err := h.run("client", "get", "/r/news", "--server", "http://"+addr+":4080")
			if err != nil {
				return err
			}
			if !strings.Contains(out, strings.TrimSpace(id)) {
				return fmt.Errorf("%s has not got it", addr)
			}
		}
		return nil
	})
	t.Logf("the comment was on all four after %s", took.Round(time.Millisecond))

	defer func() {
		if t.Failed() {
			t.Logf("the server that moved logged:\n%s", running["b"].stderr)
		}
	}()
	h.move("b", "45.20.0.1", "45.21.0.1")
	took = eventually(t, 2*time.Minute, func() error {
		got, err := h.servers("client", bootstrap)
		if err == nil && !slices.Contains(got, "http://45.21.0.1:4080") {
			err = fmt.Errorf("found %v", got)
		}
		return err
	})
	t.Logf("the server that moved was found at its new address after %s", took.Round(time.Millisecond))
	if id, err = h.run("client", "post", "/r/news", "posted after the move", "--server", "http://45.21.0.1:4080"); err != nil {
		t.Fatal(err)
	}
	took = eventually(t, 2*time.Minute, func() error {
		out, err := h.run("client", "get", "/r/news", "--server", "http://45.30.0.1:4080")
		if err == nil && !strings.Contains(out, strings.TrimSpace(id)) {
			err = fmt.Errorf("it is not on another server")
		}
		return err
	})
	t.Logf("what was posted to it there was on another server after %s", took.Round(time.Millisecond))
	for _, s := range running {
		s.stop()
	}
}

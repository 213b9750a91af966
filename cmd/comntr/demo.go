package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
	"github.com/comntr/comntr/internal/ipfs"
)

// demoTime bounds the whole demo, and stepTime each wait in it.
const (
	demoTime = 3 * time.Minute
	stepTime = 60 * time.Second
)

type demoCmd struct {
	Keep bool `help:"Leave the network up at the end, to play with, until Ctrl-C."`
}

// Run starts three servers, each a process of this binary, on a DHT of their
// own on this machine, and goes through the steps of the seed, checking each.
func (c *demoCmd) Run(e *env) error {
	dir, err := os.MkdirTemp("", "comntr-demo-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(dir)
	ctx, cancel := context.WithTimeout(e.ctx, demoTime)
	defer cancel()
	d := &demo{env: e, dir: dir, community: comntr.NameHash("reddit"), topic: comntr.NameHash("/r/news")}
	defer d.stop()
	if err := d.walk(ctx); err != nil {
		if len(d.steps) > 0 {
			err = fmt.Errorf("%s: %w", d.steps[len(d.steps)-1], err)
		}
		return errors.Join(err, d.logs())
	}
	d.say("\nAll of it worked: the first server is gone, and nothing was lost.\n")
	if !c.Keep {
		return nil
	}
	b := d.servers[1]
	d.say("\nStill up: %s and %s. Try, in another terminal:\n", b.origin, d.servers[2].origin)
	d.say("  comntr get /r/news --server %s\n", b.origin)
	d.say("  comntr post /r/news \"hello\" --server %s\n", b.origin)
	d.say("  comntr servers --allow-private --dht-bootstrap %s\n", b.dht)
	d.say("  curl %s/\n", b.origin)
	d.say("Ctrl-C ends it.\n")
	<-e.ctx.Done()
	return nil
}

// demo is a small network on this machine.
type demo struct {
	env       *env
	dir       string
	community comntr.Hash
	topic     comntr.Hash
	servers   []*demoServer
	steps     []string
}

// demoServer is one process.
type demoServer struct {
	name        string
	cmd         *exec.Cmd
	stderr      *tail
	origin, dht string
	client      *comntr.Client
	exited      chan struct{}
}

func (d *demo) say(format string, args ...any) { fmt.Fprintf(d.env.stdout, format, args...) }

func (d *demo) step(format string, args ...any) {
	s := fmt.Sprintf(format, args...)
	d.steps = append(d.steps, s)
	d.say("\n%d. %s\n", len(d.steps), s)
}

func (d *demo) result(format string, args ...any) { d.say("   "+format+"\n", args...) }

func (d *demo) place() comntr.Place { return comntr.Place{Community: d.community, Topic: d.topic} }

func (d *demo) walk(ctx context.Context) error {
	d.step("Three servers start: A, then B and C, which know nothing but a DHT node and the name \"reddit\"")
	if err := d.start(ctx, "A", "none", "none"); err != nil {
		return err
	}
	a := d.servers[0]
	hello, err := a.client.Hello(ctx)
	if err != nil {
		return err
	}
	for _, name := range []string{"B", "C"} {
		if err := d.start(ctx, name, a.dht, strings.Join(hello.Multiaddrs, ",")); err != nil {
			return err
		}
	}

	d.step("A client asks the DHT who serves SHA1(\"reddit\") = %s", d.community)
	if err := d.discover(ctx); err != nil {
		return err
	}

	d.step("It posts two comments to A, in SHA1(\"/r/news\") = %s", d.topic)
	for _, text := range []string{"That's bs!", "Cool!"} {
		if err := d.post(ctx, a, text); err != nil {
			return err
		}
	}

	d.step("It asks A for the folder with those comments")
	id, err := a.client.Topic(ctx, d.place())
	if err != nil {
		return err
	}
	d.result("%s", id)

	b, c := d.servers[1], d.servers[2]
	d.step("It posts a third comment, to B")
	if err := d.post(ctx, b, "Posted to B, readable everywhere."); err != nil {
		return err
	}

	d.step("The servers replicate from one another until their ids are equal")
	id, root, err := d.converge(ctx, 3)
	if err != nil {
		return err
	}
	d.result("/r/news on A, B and C   %s", id)
	d.result("all topics on A, B, C   %s", root)

	d.step("A is killed (SIGKILL)")
	if err := a.cmd.Process.Signal(syscall.SIGKILL); err != nil {
		return err
	}
	<-a.exited
	if _, err := a.client.Topic(ctx, d.place()); err == nil {
		return errors.New("the killed server still answers")
	}
	d.result("A no longer answers")

	d.step("The comments are read from B, and every block is checked against the id that A gave")
	folder, err := b.client.Folder(ctx, d.place())
	if err != nil {
		return err
	}
	if folder.CID != id || len(folder.Comments) != 3 {
		return fmt.Errorf("server B gives %d comments under %s; 3 under %s were expected", len(folder.Comments), folder.CID, id)
	}
	for _, f := range folder.Comments {
		d.result("%s  %s", f.ID, printable(string(f.Bytes)))
	}

	d.step("An IPFS node that knows only that id and the IPFS DHT fetches the folder by it")
	return d.byIPFS(ctx, c, id, folder)
}

// start runs a server and waits for its line.
func (d *demo) start(ctx context.Context, name, dhtBootstrap, ipfsBootstrap string) error {
	exe, err := os.Executable()
	if err != nil {
		return err
	}
	s := &demoServer{name: name, stderr: &tail{}, exited: make(chan struct{})}
	s.cmd = exec.Command(exe, "serve", "--data", filepath.Join(d.dir, name),
		"--listen", "127.0.0.1:0", "--dht-listen", "127.0.0.1:0", "--dht-bootstrap", dhtBootstrap,
		"--ipfs-listen", "/ip4/127.0.0.1/tcp/0,/ip4/127.0.0.1/udp/0/quic-v1", "--ipfs-bootstrap", ipfsBootstrap,
		"--rtc-listen", "none", "--webtransport-listen", "none", "--allow-private", "--rate", "0", "--sync-interval", "2s")
	s.cmd.Stderr = s.stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	// Its own process group: Ctrl-C is for the demo, which then stops them.
	s.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := s.cmd.Start(); err != nil {
		return fmt.Errorf("start server %s: %w", name, err)
	}
	d.servers = append(d.servers, s)
	line := make(chan string, 1)
	go func() {
		r := bufio.NewReader(out)
		l, _ := r.ReadString('\n')
		line <- l
		r.WriteTo(new(tail))
		s.cmd.Wait()
		close(s.exited)
	}()
	select {
	case l := <-line:
		fields := map[string]string{}
		for f := range strings.FieldsSeq(l) {
			if k, v, ok := strings.Cut(f, "="); ok {
				fields[k] = v
			}
		}
		if fields["http"] == "" {
			return fmt.Errorf("server %s did not start", name)
		}
		s.origin, s.dht = fields["http"], fields["dht"]
		d.result("%s  %s  peer id %s", name, s.origin, fields["peer-id"])
	case <-time.After(stepTime):
		return fmt.Errorf("server %s did not start within %s", name, stepTime)
	case <-ctx.Done():
		return ctx.Err()
	}
	s.client, err = comntr.NewClient(s.origin, comntr.Guard{AllowPrivate: true}.HTTPClient())
	return err
}

// discover finds all three by the DHT, as a client would.
func (d *demo) discover(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	guard := comntr.Guard{AllowPrivate: true}
	dht, err := discover.NewDHT(discover.DHTConfig{
		Listen: "127.0.0.1:0", Bootstrap: []string{d.servers[1].dht}, Guard: guard, Passive: true, Log: d.env.quiet,
	})
	if err != nil {
		return err
	}
	defer dht.Close()
	defer background(ctx, dht.Run)()
	found := map[string]string{}
	return until(ctx, func() error {
		for s := range discover.Find(ctx, dht, d.community, guard) {
			if _, ok := found[s.Origin]; !ok {
				found[s.Origin] = s.Key
				d.result("found %s, key %s...", s.Origin, s.Key[:12])
			}
		}
		if len(found) < len(d.servers) {
			return fmt.Errorf("%d of %d servers were found", len(found), len(d.servers))
		}
		return nil
	})
}

func (d *demo) post(ctx context.Context, s *demoServer, text string) error {
	id, _, err := s.client.Post(ctx, d.place(), []byte(text))
	if err == nil {
		d.result("%s  %s", id, text)
	}
	return err
}

// converge waits until every server gives the same ids, for a topic of n
// comments.
func (d *demo) converge(ctx context.Context, n int) (topic, root cid.Cid, err error) {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	err = until(ctx, func() error {
		for i, s := range d.servers {
			t, err := s.client.Topic(ctx, d.place())
			if err != nil {
				return err
			}
			r, err := s.client.Root(ctx, d.community)
			if err != nil {
				return err
			}
			if i > 0 && (t != topic || r != root) {
				return errors.New("the servers' ids still differ")
			}
			topic, root = t, r
		}
		f, err := d.servers[0].client.Folder(ctx, d.place())
		if err == nil && len(f.Comments) != n {
			err = fmt.Errorf("the servers agree, but on %d comments instead of %d", len(f.Comments), n)
		}
		return err
	})
	return topic, root, err
}

// byIPFS fetches the folder's blocks by bitswap from whoever the IPFS DHT
// names, and compares them with the comments read over HTTP.
func (d *demo) byIPFS(ctx context.Context, entry *demoServer, id cid.Cid, want *comntr.Folder) error {
	ctx, cancel := context.WithTimeout(ctx, stepTime)
	defer cancel()
	hello, err := entry.client.Hello(ctx)
	if err != nil {
		return err
	}
	_, key, err := ed25519.GenerateKey(nil)
	if err != nil {
		return err
	}
	node, err := ipfs.NewNode(ipfs.Config{
		Key: key, ClientOnly: true, Bootstrap: hello.Multiaddrs, Guard: comntr.Guard{AllowPrivate: true}, Log: d.env.quiet,
	})
	if err != nil {
		return err
	}
	defer node.Close()
	defer background(ctx, node.Run)()
	var folder *comntr.Folder
	// The DHT is told of a folder some seconds after it was asked for.
	err = until(ctx, func() error {
		return node.FetchAny(ctx, id, func(s *ipfs.Session) (err error) {
			folder, err = fetchFolder(ctx, s, id)
			return err
		})
	})
	if err != nil {
		return err
	}
	if len(folder.Comments) != len(want.Comments) {
		return fmt.Errorf("%d comments came, of %d", len(folder.Comments), len(want.Comments))
	}
	for i, f := range folder.Comments {
		if !bytes.Equal(f.Bytes, want.Comments[i].Bytes) {
			return fmt.Errorf("%s differs", f.ID)
		}
	}
	d.result("%d comments, every byte the same", len(folder.Comments))
	return nil
}

// fetchFolder fetches a topic's folder over bitswap, level by level, and
// verifies it.
func fetchFolder(ctx context.Context, s *ipfs.Session, id cid.Cid) (*comntr.Folder, error) {
	blocks := map[cid.Cid][]byte{}
	for nodes := []cid.Cid{id}; len(nodes) > 0; {
		var below, leaves []cid.Cid
		if err := s.Blocks(ctx, nodes, func(c cid.Cid, b []byte) error {
			blocks[c] = b
			n, err := comntr.ParseNode(b)
			if err != nil {
				return err
			}
			for _, l := range n.Links {
				if l.Child {
					below = append(below, l.CID)
				} else {
					leaves = append(leaves, l.CID)
				}
			}
			return nil
		}); err != nil {
			return nil, err
		}
		if err := s.Blocks(ctx, leaves, func(c cid.Cid, b []byte) error {
			blocks[c] = b
			return nil
		}); err != nil {
			return nil, err
		}
		nodes = below
	}
	return comntr.ReadFolder(id, func(c cid.Cid) ([]byte, bool) {
		b, ok := blocks[c]
		return b, ok
	})
}

// until calls try, four times a second, until it succeeds or ctx ends, and
// then returns its last error.
func until(ctx context.Context, try func() error) error {
	t := time.NewTicker(250 * time.Millisecond)
	defer t.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return err
		case <-t.C:
		}
	}
}

// stop ends the processes that still run, and waits for them.
func (d *demo) stop() {
	for _, s := range d.servers {
		s.cmd.Process.Signal(syscall.SIGTERM)
	}
	for _, s := range d.servers {
		select {
		case <-s.exited:
		case <-time.After(10 * time.Second):
			s.cmd.Process.Kill()
			<-s.exited
		}
	}
}

// logs are the last lines that each server logged.
func (d *demo) logs() error {
	var errs []error
	for _, s := range d.servers {
		if l := s.stderr.String(); l != "" {
			errs = append(errs, fmt.Errorf("server %s logged last:\n%s", s.name, l))
		}
	}
	return errors.Join(errs...)
}

// tail keeps the last 4 KiB written to it.
type tail struct {
	mu sync.Mutex
	b  []byte
}

func (t *tail) Write(p []byte) (int, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.b = append(t.b, p...)
	if n := len(t.b) - 4<<10; n > 0 {
		t.b = t.b[n:]
	}
	return len(p), nil
}

func (t *tail) String() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	return string(t.b)
}

package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"maps"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/comntr/comntr"
)

// Bounds of a benchmark: it is for the own server, and whoever points it at
// another's must not be able to do much harm.
const (
	maxBenchClients = 1024
	maxBenchTime    = 10 * time.Minute // of each part
	maxBenchTopics  = 10_000
	maxBenchPosts   = 1_000_000
	maxBenchPosted  = 1 << 30   // bytes of all posts
	maxBenchReads   = 5_000_000 // of each part
	// minBenchBytes has room for the words that say what a comment is.
	minBenchBytes = 64
	maxBenchBytes = comntr.MaxDocument - comntr.MaxHeaders
	// maxBenchWork is the most work, in bits, that is paid for one post: a tenth
	// of a second of one core.
	maxBenchWork = 20
	// maxTopicList is how much is read of a server's list of topics.
	maxTopicList = 1 << 20
)

type benchCmd struct {
	Server    string `help:"URL of the server to measure: your own." required:"" placeholder:"URL"`
	Community string `help:"Name or hash of the community. Default: the server's first." placeholder:"NAME" sep:"none"`
	Clients   int    `help:"How many ask at once, each over a connection of its own (${default})." default:"64" placeholder:"N" env:"-"`
	Seconds   int    `help:"How long each part takes, in seconds (${default})." default:"10" placeholder:"N" env:"-"`
	Topics    int    `help:"How many topics it posts to and reads (${default})." default:"250" placeholder:"N" env:"-"`
	Bytes     int    `help:"Bytes of a comment's text (${default})." default:"200" placeholder:"N" env:"-"`
	Read      bool   `help:"Post nothing: read the topics that the server lists." env:"-"`
	Yes       bool   `help:"Post to a server that is not on this machine, though what is posted stays there." env:"-"`
	JSON      bool   `name:"json" help:"Print JSON, for programs."`
}

// AfterApply rejects what a person can mend, before anything is sent.
func (c *benchCmd) AfterApply() error {
	origin, err := comntr.CanonicalOrigin(c.Server)
	switch {
	case err != nil:
		return fmt.Errorf("--server: %w", err)
	case c.Clients < 1 || c.Clients > maxBenchClients:
		return fmt.Errorf("--clients: between 1 and %d", maxBenchClients)
	case c.Seconds < 1 || c.Seconds > int(maxBenchTime.Seconds()):
		return fmt.Errorf("--seconds: between 1 and %d", int(maxBenchTime.Seconds()))
	case c.Topics < 1 || c.Topics > maxBenchTopics:
		return fmt.Errorf("--topics: between 1 and %d", maxBenchTopics)
	case c.Bytes < minBenchBytes || c.Bytes > maxBenchBytes:
		return fmt.Errorf("--bytes: between %d and %d", minBenchBytes, maxBenchBytes)
	case !c.Read && !c.Yes && !onThisMachine(origin):
		return fmt.Errorf("--server: %s is not on this machine, and what a benchmark posts stays there for good and is copied to all other servers of the community: add --yes if it is yours and that is what you want, or --read to post nothing", origin)
	}
	c.Server = origin
	return nil
}

// onThisMachine reports whether an origin can mean no other machine.
func onThisMachine(origin string) bool {
	u, err := url.Parse(origin)
	if err != nil {
		return false
	}
	a, err := netip.ParseAddr(u.Hostname())
	return u.Hostname() == "localhost" || err == nil && a.Unmap().IsLoopback()
}

func (c *benchCmd) Run(e *env) error {
	// What a server says on a connection that it refuses is counted; net/http would print it.
	defer log.SetOutput(log.Writer())
	log.SetOutput(io.Discard)
	load := newLoad(c.Server, c.Clients, time.Duration(c.Seconds)*time.Second)
	defer load.close()
	// Over the connections of the clients: one more could be one too many for an address.
	client, err := comntr.NewClient(c.Server, load.http)
	if err != nil {
		return fmt.Errorf("%w: --server: %v", errUsage, err)
	}
	hello, err := client.HelloAny(e.ctx)
	if err != nil {
		return fmt.Errorf("%w: %s: %v", errNoServer, c.Server, err)
	}
	community, err := c.community(hello)
	if err != nil {
		return err
	}
	var run [4]byte
	rand.Read(run[:])
	b := &bench{
		cmd: c, out: e.stdout, community: community, hello: hello,
		run: hex.EncodeToString(run[:]), load: load,
	}
	b.introduce()
	parts := b.posts
	if c.Read {
		parts = b.reads
	}
	if err := parts(e.ctx); err != nil {
		return err
	}
	if e.ctx.Err() != nil {
		b.say("stopped: the figures are of what was done until then")
	}
	return b.failed
}

// community is the one to measure.
func (c *benchCmd) community(h *comntr.Hello) (comntr.Hash, error) {
	if c.Community == "" && len(h.Communities) > 0 {
		return h.Communities[0], nil
	}
	if id := comntr.HashOrName(c.Community); slices.Contains(h.Communities, id) {
		return id, nil
	}
	return comntr.Hash{}, fmt.Errorf("%s does not hold the community %q: it holds %v", c.Server, c.Community, h.Communities)
}

// bench is one run.
type bench struct {
	cmd       *benchCmd
	out       io.Writer
	community comntr.Hash
	hello     *comntr.Hello
	run       string // of this run's names
	load      *load
	failed    error // the first of printing
}

// say prints a line for people.
func (b *bench) say(format string, args ...any) {
	if b.cmd.JSON || b.failed != nil {
		return
	}
	_, b.failed = fmt.Fprintf(b.out, format+"\n", args...)
}

func (b *bench) introduce() {
	c := b.cmd
	b.say("measuring %s (%s), community %s: %d at once, %d s for each part", c.Server, printable(b.hello.Software), b.community, c.Clients, c.Seconds)
	if r := b.hello.Limits.Rate; r > 0 && !c.Read {
		b.say("it takes %g posts a second from one address, and all of these come from one: start it with --rate 0 to measure the server and not that limit", r)
	}
	if onThisMachine(c.Server) {
		b.say("it shares this machine with the clients: alone on it, or asked from another, it does more")
	}
}

// topicName is the name of a topic that this run posts to. It stands in no
// list, because no comment says it in clear; a comment's text says what it is.
func (b *bench) topicName(i int) string { return fmt.Sprintf("comntr bench %s %d", b.run, i) }

// posts measures posting, then reading what was posted to.
func (b *bench) posts(ctx context.Context) error {
	c := b.cmd
	places := make([]comntr.Place, c.Topics)
	for i := range places {
		places[i] = comntr.Place{Community: b.community, Topic: comntr.NameHash(b.topicName(i))}
	}
	p, err := newPoster(b.load, places, b.run, c.Bytes, max(b.hello.Limits.Work, b.hello.Limits.NewWork), c.Clients)
	if err != nil {
		return err
	}
	most := min(maxBenchPosts, maxBenchPosted/c.Bytes)
	b.say("\nposts, %d bytes of text each, to %d topics named %q and on", c.Bytes, c.Topics, b.topicName(0))
	r := b.load.run(ctx, most, p.post)
	b.report("post", r)
	if bits, paid, took := p.paid(); paid > 0 {
		b.say("  the server asked for work: %s posts paid %d bits or less each, which took the clients %s in all and is not in the times above", humanize.Comma(paid), bits, took.Round(time.Millisecond))
	}
	if r.done > 0 {
		b.say("  each of these was durable when it was answered: a power cut would have lost none")
	}
	if r.refusals[comntr.CodeWorkNeeded] > 0 {
		b.say("  it wants more work than is paid here, %d bits: start it with --rate 0 and --min-work 0 to measure it without", maxBenchWork)
	}
	if ctx.Err() != nil {
		return nil
	}
	if r.done == 0 {
		return errors.New("no post was taken, so there is nothing to read: what is refused above says why")
	}
	used := min(c.Topics, r.tried())
	b.readAll(ctx, places[:used])
	if b.failed == nil && !onThisMachine(c.Server) {
		b.say("\n%s comments stay on the server, and other servers copy them", humanize.Comma(int64(r.done)))
	}
	return nil
}

// reads measures reading the topics that the server lists.
func (b *bench) reads(ctx context.Context) error {
	var list struct {
		Topics []struct {
			Topic comntr.Hash `json:"topic"`
		} `json:"topics"`
	}
	body, err := b.load.get(ctx, "/"+b.community.String()+"/topics", maxTopicList)
	if err == nil {
		err = json.Unmarshal(body, &list)
	}
	if err != nil {
		return fmt.Errorf("%s: the list of topics: %w", b.cmd.Server, err)
	}
	var places []comntr.Place
	for _, t := range list.Topics[:min(len(list.Topics), b.cmd.Topics)] {
		places = append(places, comntr.Place{Community: b.community, Topic: t.Topic})
	}
	if len(places) == 0 {
		return fmt.Errorf("%s lists no topic that could be read: post one with its name (comntr post --named), or leave out --read on a server of your own", b.cmd.Server)
	}
	b.readAll(ctx, places)
	return nil
}

// readAll measures topics that do not change, first read by nobody, then by who
// has what there is.
func (b *bench) readAll(ctx context.Context, places []comntr.Place) {
	topics := b.load.learn(ctx, places)
	if ctx.Err() != nil {
		return
	}
	if len(topics.paths) == 0 {
		b.say("\nno topic could be read: nothing is measured of that")
		return
	}
	b.say("\nGET /<topic> of %d topics that do not change, each read once before", len(topics.paths))
	b.report("get", b.load.run(ctx, maxBenchReads, topics.get(http.StatusOK)))
	b.say("  this is a reader who comes to a topic: the answer is its folder's id")
	if ctx.Err() != nil {
		return
	}
	b.say("\nGET /<topic> that the asker has, answered by 304")
	b.report("not-modified", b.load.run(ctx, maxBenchReads, topics.get(http.StatusNotModified)))
	b.say("  this is a reader, or another server, who looks whether something is new")
}

// report prints what a part found.
func (b *bench) report(part string, r result) {
	if b.cmd.JSON {
		if b.failed == nil {
			b.failed = json.NewEncoder(b.out).Encode(r.json(part))
		}
		return
	}
	b.say("  %s a second: %s in %s, %s out, %s in", humanize.Comma(int64(r.pace())), humanize.Comma(int64(r.done)), r.took.Round(10*time.Millisecond),
		humanize.IBytes(uint64(r.sent)), humanize.IBytes(uint64(r.received)))
	if r.done > 0 {
		b.say("  answered within: p50 %s  p90 %s  p99 %s  max %s (of a hundred, 99 are answered within p99)", r.within(50), r.within(90), r.within(99), r.within(100))
	}
	if r.full {
		b.say("  ended early: that is as many as one part may have")
	}
	if len(r.refusals) == 0 {
		b.say("  none failed")
		return
	}
	var all []string
	for _, reason := range slices.SortedFunc(maps.Keys(r.refusals), func(x, y string) int {
		return cmp.Or(cmp.Compare(r.refusals[y], r.refusals[x]), strings.Compare(x, y))
	}) {
		all = append(all, humanize.Comma(int64(r.refusals[reason]))+" "+reason)
	}
	b.say("  refused or failed, and in no figure above: %s", strings.Join(all, ", "))
}

// json is a part's figures for programs. Times are in seconds.
func (r result) json(part string) map[string]any {
	out := map[string]any{
		"part": part, "seconds": r.took.Seconds(), "done": r.done, "perSecond": r.pace(), "sentBytes": r.sent, "receivedBytes": r.received, "refused": r.refusals,
	}
	if r.done > 0 {
		out["p50"], out["p90"], out["p99"], out["max"] = r.within(50).Seconds(), r.within(90).Seconds(), r.within(99).Seconds(), r.within(100).Seconds()
	}
	return out
}

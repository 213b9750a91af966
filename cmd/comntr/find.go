package main

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
)

// findTime is how long a search for a server goes on.
const findTime = 30 * time.Second

// findFlags are what the commands share that talk to some server.
type findFlags struct {
	Community    string   `help:"Name or hash of the community." default:"reddit" sep:"none"`
	Server       string   `help:"URL of the server to use, instead of finding one on the DHT." placeholder:"URL"`
	DHTBootstrap []string `name:"dht-bootstrap" help:"Nodes to enter the BitTorrent DHT by, or none. Default: the public routers." placeholder:"HOST:PORT"`
	AllowPrivate bool     `help:"Take servers on private and loopback addresses too."`
	JSON         bool     `name:"json" help:"Print JSON, for programs."`
}

func (f *findFlags) community() comntr.Hash { return comntr.HashOrName(f.Community) }

func (f *findFlags) place(topic string) comntr.Place {
	return comntr.Place{Community: f.community(), Topic: comntr.HashOrName(comntr.CleanName(topic))}
}

// each calls fn for servers of the community as they are found, the one named
// by --server or those that the DHT knows, until fn returns false.
func (f *findFlags) each(e *env, fn func(*comntr.Client, discover.Server) bool) error {
	if f.Server != "" {
		// A person named it: it may be private, and is used for what it says.
		c, err := comntr.NewClient(f.Server, comntr.Guard{AllowPrivate: true}.HTTPClient())
		if err != nil {
			return fmt.Errorf("%w: --server: %v", errUsage, err)
		}
		fn(c, discover.Server{Origin: c.Origin(), Named: true})
		return nil
	}
	guard := comntr.Guard{AllowPrivate: f.AllowPrivate}
	d, err := discover.NewDHT(discover.DHTConfig{
		Listen:      ":0",
		Bootstrap:   off(f.DHTBootstrap),
		NoBootstrap: none(f.DHTBootstrap),
		Guard:       guard,
		Passive:     true,
		Log:         e.quiet,
	})
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(e.ctx, findTime)
	defer cancel()
	defer d.Close()
	defer background(ctx, d.Run)()
	found := 0
	for s := range discover.Find(ctx, d, f.community(), guard) {
		c, err := comntr.NewClient(s.Origin, guard.HTTPClient())
		if err != nil {
			continue
		}
		found++
		if !fn(c, s) {
			return nil
		}
	}
	if err := e.ctx.Err(); err != nil {
		return err
	}
	if found == 0 {
		return fmt.Errorf("%w: nobody on the DHT serves the community %q; is the network reachable? --server URL names one", errNoServer, f.Community)
	}
	return nil
}

// first runs act at one server after another until one of them gives an
// answer: success, or a refusal that the others would repeat.
func (f *findFlags) first(e *env, act func(context.Context, *comntr.Client) error) error {
	var last error
	tried := false
	err := f.each(e, func(c *comntr.Client, _ discover.Server) bool {
		tried = true
		last = act(e.ctx, c)
		if last != nil && !refused(last) && e.ctx.Err() == nil && f.Server == "" {
			e.log.Warn("a server failed, trying the next", "peer", c.Origin(), "err", last)
			return true
		}
		return false
	})
	if err != nil {
		return err
	}
	if !tried {
		return errNoServer
	}
	return last
}

// vain is an error that asking another server does not mend.
type vain struct{ error }

func (v vain) Unwrap() error { return v.error }

// refused reports whether err says something about the request rather than
// about the server, so that asking another is vain.
func refused(err error) bool {
	var p *comntr.Problem
	return errors.As(err, new(vain)) || errors.As(err, &p) && p.Status >= 400 && p.Status < 500 &&
		!slices.Contains([]string{comntr.CodeNotFound, comntr.CodeRateLimited, comntr.CodeDenied}, p.Code)
}

// background runs a part of a node until stop is called, which waits for its
// end.
func background(ctx context.Context, run func(context.Context) error) (stop func()) {
	ctx, cancel := context.WithCancel(ctx)
	done := make(chan error, 1)
	go func() { done <- run(ctx) }()
	return func() {
		cancel()
		<-done
	}
}

package replica

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
)

// source is where a round's blocks come from: the peer's IPFS node while that
// delivers, else its POST /blocks.
type source struct {
	client  *comntr.Client
	session Session // nil: HTTP alone
	refused bool    // /blocks is not served
	lost    bool    // the session broke, and HTTP went on

	begin func() // called before each question
	took
}

// took is what was had of a peer, and for how long it was waited for.
type took struct {
	blocks int
	bytes  int
	waited time.Duration // without the time that was needed here
}

// slow reports whether the peer brought too little for its time.
func (t took) slow(pace int) bool {
	got := max(t.blocks, t.bytes/paceBytes)
	return t.waited >= paceAfter && float64(got) < float64(pace)*t.waited.Seconds()
}

// errRefused: neither way to the peer's blocks is open.
var errRefused = errors.New("the server's blocks can be had neither over IPFS nor over HTTP")

// blocks calls fn for each of cids that the peer gives, once. What it does not
// have is just missing; an error means that the peer did not answer, or is
// fn's.
func (s *source) blocks(ctx context.Context, cids []cid.Cid, fn func(cid.Cid, []byte) error) error {
	want := make(map[cid.Cid]bool, len(cids))
	for _, c := range cids {
		want[c] = true
	}
	s.begin()
	asked := time.Now()
	defer func() { s.waited += time.Since(asked) }()
	var fnErr error
	take := func(c cid.Cid, block []byte) error {
		if !want[c] {
			return nil
		}
		delete(want, c)
		s.took.blocks++
		s.bytes += len(block)
		began := time.Now()
		fnErr = fn(c, block)
		s.waited -= time.Since(began)
		return fnErr
	}
	if s.session != nil {
		err := s.session.Blocks(ctx, cids, take)
		var missing *ipfs.MissingError
		switch {
		case fnErr != nil:
			return fnErr
		case err == nil || errors.As(err, &missing):
			return nil
		case ctx.Err() != nil:
			return context.Cause(ctx)
		case s.refused:
			return fmt.Errorf("%w: %w", errRefused, err)
		}
		s.session, s.lost = nil, true
	}
	if s.refused {
		return errRefused
	}
	rest := make([]cid.Cid, 0, len(want))
	for _, c := range cids {
		if want[c] {
			rest = append(rest, c)
		}
	}
	err := s.client.Blocks(ctx, rest, take)
	if fnErr != nil {
		return fnErr
	}
	if refusal(err) {
		s.refused = true
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	return err
}

// refusal reports whether a server answered that it does not serve such
// requests at all.
func refusal(err error) bool {
	var p *comntr.Problem
	if !errors.As(err, &p) {
		return false
	}
	switch p.Status {
	case http.StatusForbidden, http.StatusNotFound, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// open runs fn with a source for the link's peer: over bitswap if the peer has
// an IPFS node that answers, else over HTTP; the way that worked last comes
// first. fn is called again over the other way if the first turns out not to
// be open.
func (l *link) open(ctx context.Context, fn func(*source) error) error {
	p, cfg := l.peer, &l.r.cfg
	p.mu.Lock()
	client, addrs := p.client, p.addrs
	bitswap := cfg.Bitswap != nil && len(addrs) > 0
	httpFirst := !bitswap || cfg.Now().Before(p.httpFirst)
	p.mu.Unlock()

	refused := false
	if httpFirst {
		err := fn(&source{client: client})
		if !bitswap || !errors.Is(err, errRefused) {
			return err
		}
		refused = true
		l.preferHTTP(false)
	}
	entered := false
	err := l.overBitswap(ctx, addrs, func(s Session) error {
		entered = true
		src := &source{client: client, session: s, refused: refused}
		err := fn(src)
		if src.lost && !errors.Is(err, errRefused) {
			l.preferHTTP(true)
		}
		return err
	})
	if entered || ctx.Err() != nil {
		return err
	}
	if refused {
		return fmt.Errorf("%w: %w", errRefused, err)
	}
	l.r.cfg.Log.Debug("no connection to the server's IPFS node, going on over HTTP", "peer", client.Origin(), "err", err)
	err = fn(&source{client: client})
	if err == nil || errors.Is(err, errTurn) {
		l.preferHTTP(true)
	}
	return err
}

// overBitswap connects within connectTime, then runs fn for as long as it takes.
func (l *link) overBitswap(ctx context.Context, addrs []string, fn func(Session) error) error {
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	timer := time.AfterFunc(connectTime, func() { cancel(errors.New("no connection in time")) })
	defer timer.Stop()
	return l.r.cfg.Bitswap(ctx, addrs, func(s Session) error {
		if !timer.Stop() {
			return context.Cause(ctx)
		}
		return fn(s)
	})
}

// preferHTTP remembers for some minutes which way to try first.
func (l *link) preferHTTP(yes bool) {
	l.peer.mu.Lock()
	defer l.peer.mu.Unlock()
	l.peer.httpFirst = time.Time{}
	if yes {
		l.peer.httpFirst = l.r.cfg.Now().Add(preferTime)
	}
}

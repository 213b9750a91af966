package main

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net/http"
	"slices"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
	"github.com/comntr/comntr/internal/store"
)

// Bounds of a repair. Each comment is asked for by itself, but where many of a
// topic are lost its whole folder comes in one answer.
const (
	repairWhole = 16      // comments of one topic from which on that is cheaper
	repairBytes = 4 << 20 // of documents that gather before they are put back
	// repairInVain is how many comments in a row a server may not have before
	// the next one is asked: each costs a question.
	repairInVain = 256
	// repairTime is how long a server may bring nothing that is wanted: as long
	// as one answer may take. Each of its answers has a bound, but there are as
	// many as there are lost comments.
	repairTime = 10 * time.Minute
)

// repairs is the repair of one community under way.
type repairs struct {
	e    *env
	data string
	id   comntr.Hash
	o    store.Options

	topics []comntr.Place // with lost comments, in the order they were found
	lost   map[comntr.Hash]map[comntr.Hash]*lostComment
	count  int // of these

	denied bool // some are the deny list's: the next start takes them away
	mended bool // something was put back or made anew

	got      []*comntr.Document // to be put back
	bytes    int
	from     string        // the server that gave them
	patience time.Duration // repairTime
	brings   *time.Timer   // set anew by each comment that is had
	failed   error         // of this disk: nothing more is to be fetched
}

// lostComment is one whose bytes are not here.
type lostComment struct {
	damage bool // it is one that the index has
	waits  bool // its document is among those to be put back
}

// repair puts back what was found damaged or missing, and tells in r what it did
// and in left whether some damage is. The error is errNoServer where nobody could
// be asked.
func (c *checkCmd) repair(e *env, data string, id comntr.Hash, faults []store.Fault) (r *repairs, left bool, err error) {
	deny, err := newDenyFile(data, e.quiet).load()
	if err != nil {
		return nil, true, err
	}
	r = &repairs{e: e, data: data, id: id, patience: repairTime, o: store.Options{Deny: deny, Log: e.quiet}, lost: make(map[comntr.Hash]map[comntr.Hash]*lostComment)}
	index := false // the index is to be built again
	for _, f := range faults {
		switch {
		case f.Lost:
			place := comntr.Place{Community: id, Topic: f.Topic}
			if rule, denied := deny.Comment(place, f.Comment); denied {
				fmt.Fprintf(e.stdout, "  not repaired topic %s comment %s: line %d of the deny list denies it; the next start takes it away\n", f.Topic, f.Comment, rule.Line)
				r.denied = true
				continue
			}
			if r.lost[f.Topic] == nil {
				r.lost[f.Topic] = make(map[comntr.Hash]*lostComment)
				r.topics = append(r.topics, place)
			}
			r.lost[f.Topic][f.Comment] = &lostComment{damage: f.Damage()}
			r.count++
		case f.Kind == store.FaultIndex:
			index = true
		case f.Kind == store.FaultMissing: // of a topic that was empty
			if err := store.RestoreTopic(data, id, f.Topic, r.o); err != nil {
				return r, true, fmt.Errorf("make the folder of topic %s: %w", f.Topic, err)
			}
			r.mended = true
			fmt.Fprintf(e.stdout, "  repaired topic %s: its folder was made anew\n", f.Topic)
		default:
			left = true
			fmt.Fprintf(e.stdout, "  not repaired topic %s comment %s: move away what stands there, then repair again\n", f.Topic, f.Comment)
		}
	}
	var unasked error
	if r.count > 0 {
		if unasked = r.fetch(c); unasked != nil && !errors.Is(unasked, errNoServer) {
			return r, true, unasked
		}
	}
	for _, place := range r.topics {
		lost := r.lost[place.Topic]
		for _, comment := range slices.SortedFunc(maps.Keys(lost), comntr.Hash.Compare) {
			left = left || lost[comment].damage
			fmt.Fprintf(e.stdout, "  NOT HAD topic %s comment %s: no server that was asked gave it\n", place.Topic, comment)
		}
	}
	switch {
	case left && index:
		fmt.Fprintln(e.stdout, "  not repaired the index: without it what is still missing would be forgotten; move it away to have it built again all the same")
	case index:
		if err := store.Rebuild(data, id, r.o); err != nil {
			return r, true, err
		}
		r.mended = true
		fmt.Fprintln(e.stdout, "  repaired the index: it was built again from the files")
	}
	return r, left, unasked
}

// fetch asks one server after another for what is still lost.
func (r *repairs) fetch(c *checkCmd) error {
	f := findFlags{Community: r.id.String(), DHTBootstrap: c.DHTBootstrap, AllowPrivate: c.AllowPrivate}
	answered := false
	var last error
	ask := func(client *comntr.Client, _ discover.Server) bool {
		ok, err := r.ask(client)
		answered = answered || ok
		if err != nil && r.failed == nil && r.e.ctx.Err() == nil {
			r.e.log.Warn("a server failed, trying the next", "peer", client.Origin(), "err", err)
			last = err
		}
		return r.count > 0 && r.failed == nil && r.e.ctx.Err() == nil
	}
	servers := c.Server
	if len(servers) == 0 {
		servers = []string{""} // those that the DHT knows
	}
	for _, server := range servers {
		if f.Server = server; r.count == 0 || r.failed != nil {
			break
		}
		if err := f.each(r.e, ask); err != nil && !errors.Is(err, errNoServer) {
			return err
		} else if err != nil {
			last = err
		}
	}
	switch err := r.e.ctx.Err(); {
	case err != nil:
		return err
	case r.failed != nil:
		return r.failed
	case !answered && errors.Is(last, errNoServer):
		return last
	case !answered:
		return fmt.Errorf("%w: none of those asked answers: %v", errNoServer, last)
	}
	return nil
}

// ask has one server give what it has of the lost. answered is false if it
// did not answer at all; err is why it is left.
func (r *repairs) ask(client *comntr.Client) (answered bool, err error) {
	r.from = client.Origin()
	ctx, cancel := context.WithCancelCause(r.e.ctx)
	defer cancel(nil)
	r.brings = time.AfterFunc(r.patience, func() {
		cancel(fmt.Errorf("it brought nothing that is wanted for %v", r.patience))
	})
	defer func() {
		r.brings.Stop()
		if err != nil && ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		if e := r.putBack(); err == nil {
			err = e
		}
	}()
	vain := 0
	for _, place := range r.topics {
		lost := r.lost[place.Topic]
		if len(lost) >= repairWhole {
			// Where it fails, one by one may still do.
			if folder, err := client.Folder(ctx, place); err == nil {
				answered = true
				for _, f := range folder.Comments {
					if err := r.take(place, f.ID, f.Bytes); err != nil {
						return true, err
					}
				}
			}
		}
		for comment, l := range lost {
			if l.waits {
				continue
			}
			b, err := client.Comment(ctx, place, comment)
			var p *comntr.Problem
			if errors.As(err, &p) {
				answered = true
				if p.Status == http.StatusTooManyRequests || p.Status == http.StatusServiceUnavailable {
					return answered, err
				}
				if vain++; vain == repairInVain {
					return answered, fmt.Errorf("it lacks %d comments in a row", vain)
				}
				continue
			}
			if err != nil {
				return answered, err
			}
			answered, vain = true, 0
			if err := r.take(place, comment, b); err != nil {
				return answered, err
			}
		}
	}
	return answered, nil
}

// take puts the bytes of a comment that is lost with those to be put back: the
// gate of all that comes from others is ParseDocument.
func (r *repairs) take(place comntr.Place, comment comntr.Hash, b []byte) error {
	l := r.lost[place.Topic][comment]
	if l == nil || l.waits {
		return nil
	}
	doc, err := comntr.ParseDocument(place, b)
	if err != nil || doc.ID() != comment {
		return nil // it is no comment of this topic, whoever has it
	}
	l.waits = true
	r.brings.Reset(r.patience)
	r.got = append(r.got, doc)
	if r.bytes += doc.Size(); r.bytes >= repairBytes {
		return r.putBack()
	}
	return nil
}

// putBack writes what was had into the tree.
func (r *repairs) putBack() error {
	docs := r.got
	r.got, r.bytes = nil, 0
	for i, err := range store.Restore(r.data, r.id, docs, r.o) {
		place, comment := docs[i].Place(), docs[i].ID()
		switch {
		case errors.Is(err, store.ErrDenied):
			r.denied = true
			fmt.Fprintf(r.e.stdout, "  not repaired topic %s comment %s: %v; the next start takes it away\n", place.Topic, comment, err)
		case err != nil:
			r.failed = fmt.Errorf("put comment %s of topic %s back: %w", comment, place.Topic, err)
			return r.failed
		default:
			r.mended = true
			fmt.Fprintf(r.e.stdout, "  repaired topic %s comment %s: from %s\n", place.Topic, comment, r.from)
		}
		delete(r.lost[place.Topic], comment)
		r.count--
	}
	return nil
}

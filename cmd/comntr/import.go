package main

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"iter"
	"net/http"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/comntr/comntr"
)

// Bounds of the waiting for a server that says 429 or 503.
const (
	// maxImportWait is the longest that one answer makes the command wait.
	// Limits of rate ask for seconds; who asks for more wants to be left alone.
	maxImportWait = 5 * time.Minute
	// maxImportWaits is how often one comment is put off before the server is
	// given up.
	maxImportWaits = 20
)

type importCmd struct {
	Comntr import2019Cmd `cmd:"" name:"comntr" help:"Import a data folder of the comntr network of 2019: each comment whole, in a document signed by you."`
}

// import2019Cmd wraps the comments of a folder and posts them. It keeps no
// record of what it did: the same comment and the same key make the same
// document, and the server knows which of them it has. So it may be stopped at
// any moment, and run again.
type import2019Cmd struct {
	findFlags
	Dir    string `arg:"" help:"The data folder of the old server: the one that holds folders such as 0a/1b/... or 0a1/b2c/..."`
	Key    string `help:"Key to sign with; comntr key new makes one. Default: the default key." placeholder:"NAME"`
	DryRun bool   `help:"Say what would be posted, and post nothing." env:"-"`
}

// What became of a file.
const (
	imported2019 = "new"
	there2019    = "there" // the server had it
	would2019    = "would-post"
	left2019     = "left-out" // by its own network's rules, or ours
	failed2019   = "failed"   // it could not be read, or a server refused it
)

// import2019 is one run.
type import2019 struct {
	*import2019Cmd
	*env
	key ed25519.PrivateKey

	folder   *folder2019
	ids      map[comntr.Hash]comntr.Hash // of the topic that is at work: old id to new
	there    map[comntr.Hash]comntr.Hash // likewise, what the server has of this importer
	asked    comntr.Hash                 // the topic that there is of
	topic    comntr.Hash
	outcomes map[string]int
	seen     map[comntr.Hash]bool // topics of what was imported
	signed   int
	marked   int
	broken   error // standard output is gone
}

func newImport2019(c *import2019Cmd, e *env, key ed25519.PrivateKey) *import2019 {
	return &import2019{import2019Cmd: c, env: e, key: key, outcomes: make(map[string]int), seen: make(map[comntr.Hash]bool)}
}

func (c *import2019Cmd) Run(e *env) error {
	key, err := c.signer()
	if err != nil {
		return err
	}
	r := newImport2019(c, e, key)
	if r.folder, err = list2019(c.Dir, r.left); err != nil {
		return fmt.Errorf("import %s: %w", c.Dir, err)
	}
	next, stop := iter.Pull2(r.folder.comments())
	defer stop()
	if c.DryRun {
		for n, old, ok := next(); ok && r.broken == nil && e.ctx.Err() == nil; n, old, ok = next() {
			r.dry(n, old)
		}
		err = e.ctx.Err()
	} else if n, old, ok := next(); ok { // else no server is needed
		err = c.first(e, func(ctx context.Context, s *comntr.Client) error {
			// A server that is tried after another goes on where that one
			// failed: what was posted is in the network.
			r.there = nil
			for ; ok && r.broken == nil; n, old, ok = next() {
				if err := r.one(ctx, s, n, old); err != nil {
					return err
				}
			}
			return nil
		})
	}
	r.clear()
	if err == nil {
		err = r.broken
	}
	if err == nil && len(r.outcomes) == 0 {
		return fmt.Errorf("%s holds no comments of the 2019 network: give the folder in which its topics are, as 0a/1b/..., 0a1/b2c/... or 40 hex digits", c.Dir)
	}
	sum := r.summary()
	switch {
	case err == nil:
		return sum
	case r.outcomes[imported2019]+r.outcomes[there2019] > 0:
		return fmt.Errorf("stopped, and what was posted stays; run it again, and it goes on from here: %w", err)
	}
	return err
}

// signer is the key that answers for what is imported.
func (c *import2019Cmd) signer() (ed25519.PrivateKey, error) {
	ring, err := userKeys()
	if err != nil {
		return nil, err
	}
	_, key, err := ring.pick(c.Key)
	if err != nil {
		return nil, fmt.Errorf("what is imported is signed by you: %w", err)
	}
	return key, nil
}

// draft wraps a comment, and remembers its id, for its replies: they stand
// below it whether it is posted this time or not. Parents come first.
func (r *import2019) draft(old *comment2019) (comntr.Draft, *comntr.Document, error) {
	if r.ids == nil || old.topic != r.topic {
		r.ids, r.topic = make(map[comntr.Hash]comntr.Hash), old.topic
	}
	d := old.draft(r.community(), r.ids[old.parent])
	doc, err := d.Sign(r.key)
	if err != nil {
		return d, nil, invalid("it does not fit in a document of yours: %v", err)
	}
	r.ids[old.id] = doc.ID()
	if id, ok := r.there[old.id]; ok && r.asked == old.topic {
		r.ids[old.id] = id
	}
	if doc.Premature(time.Now()) {
		return d, nil, errPremature
	}
	return d, doc, nil
}

// dry is one in a dry run.
func (r *import2019) dry(n int, old *comment2019) {
	_, doc, err := r.draft(old)
	if err != nil {
		r.left(old.path, err)
		return
	}
	r.done(n, old, would2019, doc.ID())
}

var errPremature = invalid2019("its Date lies ahead, and the network takes it when that has come")

// one posts a comment. An error is one of the server, and not of the comment.
func (r *import2019) one(ctx context.Context, s *comntr.Client, n int, old *comment2019) error {
	draft, _, err := r.draft(old)
	if err != nil {
		r.left(old.path, err)
		return nil
	}
	if err := r.look(ctx, s, draft.Place); err != nil {
		return err
	}
	if id, ok := r.there[old.id]; ok {
		r.done(n, old, there2019, id)
		return nil
	}
	id, created, err := r.post(ctx, s, draft)
	var p *comntr.Problem
	switch {
	case err == nil && created:
		r.done(n, old, imported2019, id)
	case err == nil:
		r.done(n, old, there2019, id)
	case errors.As(err, &p) && p.Code == comntr.CodeGone:
		r.left(old.path, invalid("it was imported, and deleted since"))
	case refused(err) && ctx.Err() == nil:
		r.left(old.path, err)
	default:
		return err
	}
	return nil
}

// look reads what the server has in a topic that this importer brought before.
// Work that was asked for then, and is not now, would else make a second file.
func (r *import2019) look(ctx context.Context, s *comntr.Client, place comntr.Place) error {
	if r.asked == place.Topic && r.there != nil {
		return nil
	}
	r.asked, r.there = place.Topic, make(map[comntr.Hash]comntr.Hash)
	folder, err := s.Folder(ctx, place)
	var p *comntr.Problem
	if errors.As(err, &p) && p.Code == comntr.CodeNotFound {
		return nil
	}
	if err != nil {
		r.there = nil
		return fmt.Errorf("see what is there already: %w", err)
	}
	for _, d := range documents(place, folder) {
		origin, _ := d.Header("Origin")
		old, ok := strings.CutPrefix(origin, originPrefix2019)
		if id, err := comntr.ParseHash(old); ok && err == nil && d.Key() == comntr.PublicKey(r.key) {
			r.there[id] = d.ID()
		}
	}
	return nil
}

// post signs and posts a draft, waits where the server asks for that, and pays
// the work that it wants. The id is that of the document as it was posted.
func (r *import2019) post(ctx context.Context, s *comntr.Client, d comntr.Draft) (id comntr.Hash, created bool, err error) {
	l := letter{draft: d, key: r.key}
	if err := l.sign(r.env, 0); err != nil {
		return comntr.Hash{}, false, err
	}
	for range maxImportWaits {
		if id, created, err = l.deliver(r.env, s); err == nil {
			return id, created, nil
		}
		var p *comntr.Problem
		if !errors.As(err, &p) || p.Status != http.StatusTooManyRequests && p.Status != http.StatusServiceUnavailable {
			return comntr.Hash{}, false, err
		}
		wait := max(time.Second, time.Duration(p.RetryAfter)*time.Second)
		if wait > maxImportWait {
			return comntr.Hash{}, false, fmt.Errorf("the server asks to wait %s; run it again then, and it goes on from here: %w", wait, err)
		}
		select {
		case <-time.After(wait):
		case <-ctx.Done():
			return comntr.Hash{}, false, ctx.Err()
		}
	}
	return comntr.Hash{}, false, fmt.Errorf("the server put one comment off %d times: %w", maxImportWaits, err)
}

// done tells what became of a comment that is a document now.
func (r *import2019) done(n int, old *comment2019, outcome string, id comntr.Hash) {
	r.ids[old.id] = id // work that a server asked for makes another
	r.seen[old.topic] = true
	r.outcomes[outcome]++
	if old.key != nil {
		r.signed++
	}
	if old.postmarked {
		r.marked++
	}
	switch {
	case r.JSON:
		line := map[string]any{"path": old.path, "outcome": outcome, "topic": old.topic, "origin": old.id, "id": id, "postmark": old.postmarked}
		if old.key != nil {
			line["key"] = hex.EncodeToString(old.key)
		}
		r.print(json.NewEncoder(r.stdout).Encode(line))
	case r.DryRun:
		author := "not signed"
		if old.key != nil {
			author = "signed by " + comntr.KeyMark([32]byte(old.key))
		}
		_, err := fmt.Fprintf(r.stdout, "%s  %s  %s\n", printable(old.path), id, author)
		r.print(err)
	case isTerminal(r.stderr):
		fmt.Fprintf(r.stderr, "\rtopic %d of %d: %d new, %d already there\x1b[K",
			n+1, len(r.folder.topics), r.outcomes[imported2019], r.outcomes[there2019])
	}
}

// left tells why a file was not imported.
func (r *import2019) left(path string, err error) {
	outcome := failed2019
	var rule invalid2019
	if errors.As(err, &rule) {
		outcome = left2019
	}
	r.outcomes[outcome]++
	reason := err.Error()
	if disk := (*os.PathError)(nil); errors.As(err, &disk) {
		reason = disk.Err.Error() // it would name the path again
	}
	if r.JSON {
		r.print(json.NewEncoder(r.stdout).Encode(map[string]any{"path": path, "outcome": outcome, "reason": reason}))
		return
	}
	r.clear()
	verb := map[string]string{left2019: "left out", failed2019: "failed"}[outcome]
	fmt.Fprintf(r.stderr, "%s %s: %s\n", verb, printable(path), printable(reason))
}

// clear takes the line of progress away.
func (r *import2019) clear() {
	if !r.JSON && !r.DryRun && isTerminal(r.stderr) {
		fmt.Fprint(r.stderr, "\r\x1b[K")
	}
}

func (r *import2019) print(err error) {
	if r.broken == nil {
		r.broken = err
	}
}

// summary prints the counts. The error says that some could not be imported
// though their network's rules had nothing against them.
func (r *import2019) summary() error {
	o := r.outcomes
	comments := o[imported2019] + o[there2019] + o[would2019]
	if r.JSON {
		r.print(json.NewEncoder(r.stdout).Encode(map[string]any{
			"new": o[imported2019], "there": o[there2019], "wouldPost": o[would2019], "leftOut": o[left2019], "failed": o[failed2019],
			"topics": len(r.seen), "signed": r.signed, "postmarked": r.marked,
		}))
	} else {
		what := fmt.Sprintf("%d new, %d already there", o[imported2019], o[there2019])
		if r.DryRun {
			what = fmt.Sprintf("%d would be posted", o[would2019])
		}
		_, err := fmt.Fprintf(r.stdout, "%s, %d left out, %d failed\n%s in %s: %d signed, %d not signed, %d with a postmark\n", what, o[left2019], o[failed2019],
			english.Plural(comments, "comment", ""), english.Plural(len(r.seen), "topic", ""), r.signed, comments-r.signed, r.marked)
		r.print(err)
	}
	if r.broken != nil {
		return r.broken
	}
	if n := o[failed2019]; n > 0 {
		return fmt.Errorf("%s could not be imported; the lines that begin with \"failed\" say why", english.Plural(n, "file", ""))
	}
	return nil
}

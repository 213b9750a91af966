package main

import (
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"math"
	"strings"
	"time"

	"github.com/comntr/comntr"
)

type postCmd struct {
	findFlags
	// Both are optional for kong, which would not name the text where it is
	// missing. AfterApply wants them.
	Topic *string `arg:"" optional:"" help:"Name of the topic, such as /r/news or a page's URL, or its hash."`
	Text  *string `arg:"" optional:"" help:"The comment; - reads it from standard input. With --delete it may be missing, with --vote there is none."`

	Key       string       `help:"Key to sign with; comntr key new makes one. Default: the default key, where there is one." placeholder:"NAME"`
	Anonymous bool         `help:"Sign with a key for this one time, which is then forgotten." env:"-"`
	Plain     bool         `help:"Post the bare text: without an author, a date, or any way to change or delete it." env:"-"`
	User      string       `help:"What to call yourself. Anyone may use any name: readers tell keys apart by their marks." placeholder:"NAME"`
	Named     bool         `help:"Say the topic's name in clear, so that servers can list the topic."`
	ReplyTo   *comntr.Hash `help:"The comment that this one answers." placeholder:"ID" env:"-"`
	Edit      *comntr.Hash `help:"Put this text in the place of your comment's." placeholder:"ID" env:"-"`
	Delete    *comntr.Hash `help:"Delete your comment, for everyone and for good." placeholder:"ID" env:"-"`
	Vote      *ballot      `help:"Vote for or against a comment, or take a vote back; costs some work." placeholder:"ID=up|down|none" env:"-"`
}

// ballot is a vote on the command line: ID=up.
type ballot struct {
	id   comntr.Hash
	vote comntr.Vote
}

func (b *ballot) UnmarshalText(text []byte) error {
	id, vote, found := strings.Cut(string(text), "=")
	var ok bool
	if b.vote, ok = comntr.ParseVote(vote); !found || !ok {
		return fmt.Errorf("%q is no vote: write a comment's id, then =up, =down or =none", text)
	}
	var err error
	b.id, err = comntr.ParseHash(id)
	return err
}

// AfterApply rejects what a person can mend, before anything is touched.
func (c *postCmd) AfterApply() error {
	var acts []string
	for flag, set := range map[string]bool{"--reply-to": c.ReplyTo != nil, "--edit": c.Edit != nil, "--delete": c.Delete != nil, "--vote": c.Vote != nil} {
		if set {
			acts = append(acts, flag)
		}
	}
	switch {
	case c.Topic == nil:
		return errors.New(`expected "<topic> <text>"`)
	case len(acts) > 1:
		return errors.New("--reply-to, --edit, --delete and --vote: one at a time")
	case c.Plain && c.Anonymous:
		return errors.New("--plain and --anonymous: one of them; plain text has no key at all")
	case c.Plain && len(acts) > 0:
		return fmt.Errorf("--plain: plain text can do nothing but stand there; %s needs a signature", acts[0])
	case c.Plain && (c.User != "" || c.Named):
		return errors.New("--plain: plain text carries no names; leave out --user and --named")
	case c.Anonymous && (c.Edit != nil || c.Delete != nil):
		return fmt.Errorf("--anonymous: %s needs the key that the comment was signed with", acts[0])
	case c.Named && isHash(*c.Topic):
		return errors.New("--named: give the topic by its name, not by its hash")
	case c.Vote != nil && c.Text != nil:
		return errors.New("--vote: a vote has no text; post a reply beside it")
	case c.Text == nil && c.Vote == nil && c.Delete == nil:
		return errors.New(`expected "<text>", or - to read it from standard input`)
	}
	return nil
}

func isHash(s string) bool {
	_, err := comntr.ParseHash(s)
	return err == nil
}

func (c *postCmd) Run(e *env) error {
	text, err := c.text(e)
	if err != nil {
		return err
	}
	topic := comntr.CleanName(*c.Topic)
	place := c.place(topic)
	key, err := c.signer()
	if err != nil {
		return err
	}
	l := letter{key: key, plain: c.Plain, draft: comntr.Draft{Place: place, Date: time.Now(), User: c.User, Body: text}}
	if c.Named {
		l.draft.Name = topic
	}
	switch {
	case key == nil:
		// The gate that the server has, before anything goes out.
		l.doc, err = comntr.ParseDocument(place, text)
	case c.target() == nil:
		if len(text) == 0 {
			return errors.New("the comment is empty: write something")
		}
		if c.ReplyTo != nil {
			l.draft.Parent = *c.ReplyTo
		}
		err = l.sign(e, 0)
	}
	if err != nil {
		return err
	}
	var vain error // not for another server to mend
	err = c.first(e, func(ctx context.Context, s *comntr.Client) error {
		if l.doc == nil {
			b, err := s.Comment(ctx, place, *c.target())
			if err != nil {
				return err
			}
			target, err := comntr.ParseDocument(place, b)
			if err != nil {
				return fmt.Errorf("%w: %w", comntr.ErrBadAnswer, err)
			}
			if vain = c.act(&l, target); vain != nil {
				return nil
			}
			bits := 0
			if c.Vote != nil {
				bits = comntr.VoteWork
			}
			if vain = l.sign(e, bits); vain != nil {
				return nil
			}
		}
		id, created, err := l.deliver(e, s)
		if err != nil {
			return err
		}
		if !c.JSON {
			_, err = fmt.Fprintln(e.stdout, id)
			return err
		}
		out := map[string]any{
			"id": id, "created": created, "server": s.Origin(), "community": place.Community, "topic": place.Topic,
		}
		if l.doc.Signed() {
			pub := l.doc.Key()
			out["key"] = hex.EncodeToString(pub[:])
		}
		return json.NewEncoder(e.stdout).Encode(out)
	})
	if vain != nil {
		return vain
	}
	return err
}

func (c *postCmd) text(e *env) ([]byte, error) {
	switch {
	case c.Text == nil:
		return nil, nil
	case *c.Text != "-":
		return []byte(*c.Text), nil
	}
	b, err := io.ReadAll(io.LimitReader(e.stdin, comntr.MaxDocument+1))
	if err != nil {
		return nil, fmt.Errorf("read the comment: %w", err)
	}
	return b, nil
}

// target is the comment that must be looked at before anything is signed.
func (c *postCmd) target() *comntr.Hash {
	switch {
	case c.Edit != nil:
		return c.Edit
	case c.Delete != nil:
		return c.Delete
	case c.Vote != nil:
		return &c.Vote.id
	}
	return nil
}

// signer is the key to sign with; nil is for plain text.
func (c *postCmd) signer() (ed25519.PrivateKey, error) {
	switch {
	case c.Plain:
		return nil, nil
	case c.Anonymous:
		_, key, err := ed25519.GenerateKey(nil)
		return key, err
	}
	ring, err := userKeys()
	if err != nil {
		return nil, err
	}
	name := c.Key
	if name == "" {
		if name, err = ring.defaultName(); err != nil {
			return nil, err
		}
	}
	if name != "" {
		return ring.read(name)
	}
	if c.target() != nil || c.ReplyTo != nil || c.User != "" || c.Named {
		return nil, errors.New("there is no key to sign this with: `comntr key new` makes one, --anonymous takes one for this time alone")
	}
	return nil, nil
}

// Bounds of what is paid for a post.
const (
	// maxPaid is the most work, in bits, that is paid because a server wants it:
	// a minute or more. A stranger's server could else have any reader's machine
	// count for hours. Ours want api.MaxMinWork at most.
	maxPaid = 28
	// maxPayments at one server: its demand may have grown while the last one
	// was paid.
	maxPayments = 3
)

// letter is what is posted: plain text, or a draft that is signed again when a
// server wants more work than it has. What was paid counts at the next server.
type letter struct {
	draft comntr.Draft
	key   ed25519.PrivateKey // nil: plain text
	plain bool               // plain text was asked for
	doc   *comntr.Document   // nil before it was first signed
}

// sign signs the draft with at least that many bits of work.
func (l *letter) sign(e *env, bits int) error {
	progress, done := workBar(e, bits)
	doc, err := l.draft.SignWithWork(e.ctx, l.key, bits, progress)
	done()
	switch {
	case err == nil:
		l.doc = doc
	case e.ctx.Err() != nil:
		err = errors.New("stopped before the work was paid: nothing was posted")
	}
	return err
}

// deliver posts the letter, and pays the work that the server wants for it.
func (l *letter) deliver(e *env, s *comntr.Client) (id comntr.Hash, created bool, err error) {
	for paid := 0; ; paid++ {
		id, created, err = s.Post(e.ctx, l.draft.Place, l.doc.Bytes())
		var p *comntr.Problem
		if !errors.As(err, &p) || p.Code != comntr.CodeWorkNeeded {
			return id, created, err
		}
		// These errors hide the problem: another server may take it as it is.
		switch {
		case l.key == nil:
			how := "make a key by `comntr key new`"
			if l.plain {
				how = "leave out --plain"
			}
			return id, false, fmt.Errorf("%s takes no plain text now, but signed comments with %d bits of work: %s, or sign with a key for this time alone by --anonymous, or name another server by --server", s.Origin(), p.Work, how)
		case p.Work > maxPaid:
			return id, false, fmt.Errorf("%s wants %d bits of work, and more than %d are not paid: name another server by --server", s.Origin(), p.Work, maxPaid)
		case p.Work <= l.doc.Work():
			return id, false, fmt.Errorf("%s refuses work that is what it asks for: %s; name another server by --server", s.Origin(), p.Detail)
		case paid == maxPayments:
			return id, false, fmt.Errorf("%s wanted more work each time that it was paid, at last %d bits: try again later, or name another server by --server", s.Origin(), p.Work)
		}
		if err := l.sign(e, p.Work); err != nil {
			return id, false, err
		}
	}
}

// act makes the letter the edit, the delete or the vote that the flags ask
// for. It refuses what readers would only ignore.
func (c *postCmd) act(l *letter, target *comntr.Document) error {
	id, kind := target.ID(), target.Kind()
	if c.Delete == nil {
		// An edit stands for the comment that it changed.
		if of, ok := target.Target(); ok && kind == comntr.KindEdit {
			id = of
		} else if kind != comntr.KindComment {
			return fmt.Errorf("%s is no comment, but of kind %s", id, kind)
		}
	}
	d := &l.draft
	own := target.Signed() && target.Key() == comntr.PublicKey(l.key)
	switch {
	case c.Vote != nil && own:
		return fmt.Errorf("%s is your own comment: a vote on it would not count", id)
	case c.Vote != nil:
		d.Kind, d.Target, d.Body = comntr.KindVote, id, []byte(c.Vote.vote.String())
	case !target.Signed():
		return fmt.Errorf("%s is plain text: it has no author, and nobody can change or delete it", id)
	case !own:
		return notYours(target)
	case c.Delete != nil && kind == comntr.KindDelete:
		return fmt.Errorf("%s is a delete itself, and those stay", id)
	case c.Delete != nil:
		del := comntr.Deletion(target)
		del.User, del.Name, del.Body = d.User, d.Name, d.Body
		*d = del
	default:
		d.Kind, d.Target = comntr.KindEdit, id
	}
	return nil
}

// notYours says which key would do.
func notYours(target *comntr.Document) error {
	if ring, err := userKeys(); err == nil {
		if name, ok := ring.called(target.Key()); ok {
			return fmt.Errorf("%s was signed with your key %s: add --key %s", target.ID(), name, name)
		}
	}
	return fmt.Errorf("%s was signed with another key, %s, and only that can change or delete it", target.ID(), comntr.KeyMark(target.Key()))
}

// workBar is a line on standard error that shows how work gets on, where a
// person looks at it; done takes it away. Work is luck: the bar says how
// probable it was to be done by now.
func workBar(e *env, bits int) (progress func(tried uint64), done func()) {
	if bits == 0 || !isTerminal(e.stderr) {
		return nil, func() {}
	}
	return func(tried uint64) { fmt.Fprint(e.stderr, "\r", workLine(bits, tried), "\x1b[K") },
		func() { fmt.Fprint(e.stderr, "\r\x1b[K") }
}

// workLine is the bar after some nonces were tried.
func workLine(bits int, tried uint64) string {
	const width = 30
	share := 1 - math.Exp(-float64(tried)/math.Exp2(float64(bits)))
	full := int(share * width)
	return fmt.Sprintf("paying %d bits of work [%s%s] %3.0f%%", bits, strings.Repeat("#", full), strings.Repeat(".", width-full), math.Floor(100*share))
}

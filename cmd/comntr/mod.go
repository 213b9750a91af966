package main

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/alecthomas/kong"

	"github.com/comntr/comntr"
)

// modCmd's subcommands that post are called as the Kind that they post.
type modCmd struct {
	New        modNewCmd      `cmd:"" help:"Print the id of your list of a tag, and how to use it. Nothing is posted."`
	List       modListCmd     `cmd:"" help:"Print what a list says, yours or another's."`
	Hide       modIDsCmd      `cmd:"" help:"Hide comments."`
	Show       modIDsCmd      `cmd:"" help:"Take hide back; show a comment although its author is banned or a delegate hides it."`
	Pin        modIDsCmd      `cmd:"" help:"Put comments first."`
	Unpin      modIDsCmd      `cmd:"" help:"Take pin back."`
	Lock       modIDsCmd      `cmd:"" help:"Ask for no more replies to comments, or to a whole topic."`
	Unlock     modIDsCmd      `cmd:"" help:"Take lock back."`
	Ban        modAuthorsCmd  `cmd:"" help:"Hide all comments of authors, and do not count their votes."`
	Unban      modAuthorsCmd  `cmd:"" help:"Take ban back."`
	Delegate   modDelegateCmd `cmd:"" help:"Let what another moderator's list says count in yours."`
	Undelegate modDelegateCmd `cmd:"" help:"Dismiss a delegate: all that his list ever said no longer counts in yours."`
}

// modKey is the key that a list is of. Key and tag make the list: nothing is
// kept on this machine but the key.
type modKey struct {
	Key string `help:"Key to sign with: it and the tag make the list. Default: the default key." placeholder:"NAME"`
}

// modList is a list of the user's.
type modList struct {
	key     ed25519.PrivateKey
	keyName string
	tag     string
	place   comntr.Place
}

// list is the list of the user's key and a tag. It refuses a tag that no
// document could carry.
func (k *modKey) list(community comntr.Hash, tag string) (*modList, error) {
	switch {
	case tag == "":
		return nil, fmt.Errorf("%w: a list needs a tag: a word of your choice", errUsage)
	case isHash(tag):
		return nil, fmt.Errorf("%w: %s is an id: a list of yours is called by its tag", errUsage, tag)
	}
	ring, err := userKeys()
	if err != nil {
		return nil, err
	}
	l := &modList{tag: tag}
	if l.keyName, l.key, err = ring.pick(k.Key); err != nil {
		return nil, err
	}
	l.place = comntr.Place{Community: community, Topic: comntr.ListTopic(comntr.PublicKey(l.key), tag)}
	if _, err := (comntr.Draft{Place: l.place, Kind: comntr.KindShow, Tag: tag}).Sign(l.key); err != nil {
		return nil, fmt.Errorf("%w: %q cannot be a tag: %w", errUsage, shorten(tag, maxTagShown), err)
	}
	return l, nil
}

type modNewCmd struct {
	modKey
	JSON bool   `name:"json" help:"Print JSON, for programs."`
	Tag  string `arg:"" help:"A word or two of your choice that tells your lists apart, such as news."`
}

func (c *modNewCmd) Run(e *env) error {
	l, err := c.list(comntr.Hash{}, c.Tag)
	if err != nil {
		return err
	}
	pub := comntr.PublicKey(l.key)
	if c.JSON {
		return json.NewEncoder(e.stdout).Encode(map[string]any{"list": l.place.Topic, "key": hex.EncodeToString(pub[:]), "tag": l.tag})
	}
	if _, err := fmt.Fprintln(e.stdout, l.place.Topic); err != nil {
		return err
	}
	tag, key := quoted(l.tag), ""
	if c.Key != "" {
		key = " --key " + c.Key
	}
	_, err = fmt.Fprintf(e.stderr, `
This is the id of the list %s of your key %s. Write in it:
    comntr mod hide%s %s ID
    comntr mod list%s %s
Who wants it reads with it:
    comntr get /r/news --filter %s
Another moderator makes you a delegate by this, with his tag for TAG:
    comntr mod delegate TAG %x %s
`, tag, l.keyName, key, tag, key, tag, l.place.Topic, pub, tag)
	return err
}

// quoted is s as a shell takes it for one word.
func quoted(s string) string {
	for _, r := range s {
		letter := r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9'
		if !letter && !bytes.ContainsRune([]byte("-_./@"), r) {
			return "'" + strings.ReplaceAll(printable(s), "'", `'\''`) + "'"
		}
	}
	return s
}

type modListCmd struct {
	findFlags
	modKey
	List string `arg:"" help:"The tag of a list of yours, or any list's id."`
}

func (c *modListCmd) Run(e *env) error {
	place := comntr.Place{Community: c.community()}
	if id, err := comntr.ParseHash(c.List); err == nil {
		place.Topic = id
	} else {
		l, err := c.list(place.Community, c.List)
		if err != nil {
			return err
		}
		place = l.place
	}
	return c.first(e, func(ctx context.Context, s *comntr.Client) error {
		filters, err := listsAt(s).filters(ctx, e, []comntr.Place{place}, time.Now())
		if err != nil {
			return err
		}
		f := &filters[0]
		if c.JSON {
			return json.NewEncoder(e.stdout).Encode(f)
		}
		w := bufio.NewWriter(e.stdout)
		fmt.Fprintln(w, f.List.Topic)
		for _, act := range f.Acts() {
			fmt.Fprintf(w, "%-10s  %s", act.Kind(), actOn(act))
			if date, ok := act.Date(); ok {
				fmt.Fprintf(w, "  %s", date.Format(comntr.DateFormat))
			}
			if act.Place() != f.List {
				tag, _ := act.Tag()
				fmt.Fprintf(w, "  by %s %s", shorten(tag, maxTagShown), comntr.KeyMark(act.Key()))
			}
			if why := shorten(string(act.Body()), maxReasonShown); why != "" {
				fmt.Fprintf(w, "  %s", why)
			}
			fmt.Fprintln(w)
		}
		return w.Flush()
	})
}

// maxReasonShown is how much of an act's body is shown: it is one line, and
// the body may be as long as a comment.
const maxReasonShown = 200

// actOn is what an act of a list is on, as the command line takes it.
func actOn(d *comntr.Document) string {
	key, _ := d.Header("Target-Key")
	switch d.Kind() {
	case comntr.KindBan, comntr.KindUnban:
		return key
	case comntr.KindDelegate, comntr.KindUndelegate:
		tag, _ := d.Header("Target-Tag")
		return key + " " + quoted(tag)
	}
	id, _ := d.Target()
	return id.String()
}

// modFlags are what the commands share that post to a list.
type modFlags struct {
	findFlags
	modKey
	Reason string `help:"Why, for whoever looks at the list." placeholder:"TEXT" env:"-"`
}

type modIDsCmd struct {
	modFlags
	Tag string        `arg:"" help:"The tag of your list."`
	IDs []comntr.Hash `arg:"" name:"id" help:"Ids of comments, as comntr get prints them; lock and unlock take those of topics, too, as comntr id prints them."`

	kind comntr.Kind
}

func (c *modIDsCmd) AfterApply(k *kong.Context) error {
	c.kind = comntr.Kind(k.Selected().Name)
	if slices.Contains(c.IDs, comntr.Hash{}) { // to a Draft it is no Target at all
		return fmt.Errorf("nothing has the id %s", comntr.Hash{})
	}
	return nil
}

func (c *modIDsCmd) Run(e *env) error {
	l, err := c.list(c.community(), c.Tag)
	if err != nil {
		return err
	}
	var drafts []comntr.Draft
	for _, id := range c.IDs {
		drafts = append(drafts, comntr.Draft{Kind: c.kind, Target: id})
	}
	return c.post(e, l, drafts, nil)
}

type modAuthorsCmd struct {
	modFlags
	AuthorsIn string   `help:"Take the ids of comments in this topic instead of keys: their authors are meant." placeholder:"TOPIC" env:"-"`
	Tag       string   `arg:"" help:"The tag of your list."`
	Whom      []string `arg:"" name:"key" help:"Public keys of authors, whole, as in comntr get --json; with --authors-in the ids of comments."`

	kind comntr.Kind
	keys [][32]byte
	ids  []comntr.Hash
}

func (c *modAuthorsCmd) AfterApply(k *kong.Context) error {
	c.kind = comntr.Kind(k.Selected().Name)
	for _, s := range c.Whom {
		if c.AuthorsIn != "" {
			id, err := comntr.ParseHash(s)
			if err != nil {
				return fmt.Errorf("--authors-in takes the ids of comments: %w", err)
			}
			c.ids = append(c.ids, id)
			continue
		}
		key, err := parseKey(s)
		if err != nil {
			return fmt.Errorf("%w; --authors-in TOPIC takes the ids of their comments", err)
		}
		c.keys = append(c.keys, key)
	}
	return nil
}

func (c *modAuthorsCmd) Run(e *env) error {
	l, err := c.list(c.community(), c.Tag)
	if err != nil {
		return err
	}
	drafts := func(keys [][32]byte) (out []comntr.Draft) {
		for _, key := range keys {
			out = append(out, comntr.Draft{Kind: c.kind, Extra: []comntr.Header{{Name: "Target-Key", Value: hex.EncodeToString(key[:])}}})
		}
		return out
	}
	if c.AuthorsIn == "" {
		return c.post(e, l, drafts(c.keys), nil)
	}
	topic := c.place(c.AuthorsIn)
	return c.post(e, l, nil, func(ctx context.Context, s *comntr.Client) ([]comntr.Draft, error) {
		var keys [][32]byte
		for _, id := range c.ids {
			b, err := s.Comment(ctx, topic, id)
			if err != nil {
				return nil, err
			}
			d, err := comntr.ParseDocument(topic, b)
			switch {
			case err != nil:
				return nil, fmt.Errorf("%w: %w", comntr.ErrBadAnswer, err)
			case !d.Signed():
				return nil, vain{fmt.Errorf("%s is plain text and has no author: hide it by its id", id)}
			}
			keys = append(keys, d.Key())
		}
		return drafts(keys), nil
	})
}

type modDelegateCmd struct {
	modFlags
	Tag      string `arg:"" help:"The tag of your list."`
	Delegate string `arg:"" name:"key" help:"The other moderator's public key, whole."`
	Their    string `arg:"" name:"their-tag" help:"The tag of the other's list."`

	kind comntr.Kind
}

func (c *modDelegateCmd) AfterApply(k *kong.Context) error {
	c.kind = comntr.Kind(k.Selected().Name)
	_, err := parseKey(c.Delegate)
	return err
}

func (c *modDelegateCmd) Run(e *env) error {
	l, err := c.list(c.community(), c.Tag)
	if err != nil {
		return err
	}
	key, _ := parseKey(c.Delegate)
	if comntr.ListTopic(key, c.Their) == l.place.Topic {
		return fmt.Errorf("%w: that is this list itself: it cannot be its own delegate", errUsage)
	}
	return c.post(e, l, []comntr.Draft{{Kind: c.kind, Extra: []comntr.Header{{Name: "Target-Key", Value: c.Delegate}, {Name: "Target-Tag", Value: c.Their}}}}, nil)
}

// parseKey reads a public key, whole and to the letter as documents have it.
func parseKey(s string) (key [32]byte, err error) {
	b, err := hex.DecodeString(s)
	if err != nil || len(b) != len(key) || hex.EncodeToString(b) != s {
		return key, fmt.Errorf("%q is no key: 64 lower-case hex digits are wanted", shorten(s, 80))
	}
	return [32]byte(b), nil
}

// post signs drafts into a list and posts them, each by itself. Those that
// only a server's answer tells are made by more.
func (f *modFlags) post(e *env, l *modList, drafts []comntr.Draft, more func(context.Context, *comntr.Client) ([]comntr.Draft, error)) error {
	acts, err := f.letters(e, l, drafts)
	if err != nil {
		return err
	}
	p := &modPost{flags: f, list: l, acts: acts, asked: len(acts)}
	err = f.first(e, func(ctx context.Context, s *comntr.Client) error {
		if more != nil {
			drafts, err := more(ctx, s)
			if err != nil {
				return err
			}
			if p.acts, err = f.letters(e, l, drafts); err != nil {
				return vain{err}
			}
			p.asked, more = len(p.acts), nil
		}
		return p.at(ctx, e, s)
	})
	switch {
	case err != nil && len(p.acts) < p.asked:
		return fmt.Errorf("%d of %d acts were not posted: %w", len(p.acts)+p.refused, p.asked, err)
	case err != nil:
		return err
	case p.refused > 0:
		return fmt.Errorf("%d of %d acts were refused", p.refused, p.asked)
	}
	return nil
}

// letters are the drafts, signed: what cannot be a document is refused before
// anything goes out. What is asked for twice is done once.
func (f *modFlags) letters(e *env, l *modList, drafts []comntr.Draft) ([]*letter, error) {
	now := time.Now()
	var out []*letter
	seen := map[string]bool{}
	for _, d := range drafts {
		d.Place, d.Tag, d.Date, d.Body = l.place, l.tag, now, []byte(f.Reason)
		act := &letter{draft: d, key: l.key}
		if err := act.sign(e, 0); err != nil {
			return nil, fmt.Errorf("%w: %w", errUsage, err)
		}
		if on := thing(act.doc); !seen[on] {
			seen[on] = true
			out = append(out, act)
		}
	}
	return out, nil
}

// modPost is the posting of acts to one list.
type modPost struct {
	flags   *modFlags
	list    *modList
	acts    []*letter // still to be posted
	asked   int
	refused int
}

// at posts what is left at one server.
func (p *modPost) at(ctx context.Context, e *env, s *comntr.Client) error {
	acts, err := listsAt(s).read(ctx, p.list.place)
	if err != nil {
		return err
	}
	if len(acts) == 0 { // or the tag was mistyped
		fmt.Fprintf(e.stderr, "the list %s, %s, was empty at %s: this begins it\n", quoted(p.list.tag), p.list.place.Topic, s.Origin())
	}
	f := comntr.ParseFilter(p.list.place, acts, time.Now())
	said := map[string]*comntr.Document{}
	for _, act := range f.Acts() {
		said[thing(act)] = act
	}
	for ; len(p.acts) > 0; p.acts = p.acts[1:] {
		act := p.acts[0]
		created, err := p.one(ctx, e, s, act, said[thing(act.doc)])
		switch {
		case err == nil:
			if err := p.print(e, s, act.doc, created); err != nil {
				return err
			}
		case !refused(err) || p.asked == 1:
			return err
		default:
			p.refused++
			fmt.Fprintf(e.stderr, "%s %s: %v\n", act.doc.Kind(), actOn(act.doc), err)
		}
	}
	return nil
}

// one posts an act, where was is the list's last word about the same thing.
func (p *modPost) one(ctx context.Context, e *env, s *comntr.Client, act *letter, was *comntr.Document) (created bool, err error) {
	kind := act.doc.Kind()
	if was == nil && kind == comntr.KindUndelegate {
		// Else a slip in a key or a tag would look like a dismissal.
		return false, vain{fmt.Errorf("that is no delegate of %s: comntr mod list shows those there are", quoted(p.list.tag))}
	}
	if was != nil {
		if was.Kind() == kind && (p.flags.Reason == "" || bytes.Equal(was.Body(), act.draft.Body)) {
			act.doc = was
			return false, nil
		}
		// Dates are whole seconds, and another machine's clock may be ahead:
		// without this the act before could stay the newer one.
		if last, ok := was.Date(); ok && !act.draft.Date.Truncate(time.Second).After(last) {
			act.draft.Date = last.Add(time.Second)
			if err := act.sign(e, act.doc.Work()); err != nil {
				return false, err
			}
		}
	}
	for waits := 0; ; waits++ {
		_, created, err = act.deliver(e, s)
		var full *comntr.Problem
		if !errors.As(err, &full) || full.Code != comntr.CodeRateLimited || full.RetryAfter == 0 || full.RetryAfter > maxWait || waits == maxWaits {
			return created, err
		}
		select {
		case <-ctx.Done():
			return false, ctx.Err()
		case <-time.After(time.Duration(full.RetryAfter) * time.Second):
		}
	}
}

// Bounds of waiting because a server takes only so many posts of an address.
const (
	maxWait  = 60 // seconds at a time
	maxWaits = 3  // for one act: others may post from the same address
)

// thing names what an act of a list is about, the same for both of a pair of
// kinds.
func thing(d *comntr.Document) string {
	target, _ := d.Header("Target")
	key, _ := d.Header("Target-Key")
	tag, _ := d.Header("Target-Tag")
	switch d.Kind() {
	case comntr.KindHide, comntr.KindShow:
		return "hide " + target
	case comntr.KindPin, comntr.KindUnpin:
		return "pin " + target
	case comntr.KindLock, comntr.KindUnlock:
		return "lock " + target
	case comntr.KindBan, comntr.KindUnban:
		return "ban " + key
	}
	return "delegate " + key + " " + tag
}

func (p *modPost) print(e *env, s *comntr.Client, d *comntr.Document, created bool) error {
	if !p.flags.JSON {
		already := ""
		if !created {
			already = "  already"
		}
		_, err := fmt.Fprintf(e.stdout, "%s  %s  %s%s\n", d.ID(), d.Kind(), actOn(d), already)
		return err
	}
	out := map[string]any{
		"id": d.ID(), "created": created, "server": s.Origin(), "community": p.list.place.Community, "list": p.list.place.Topic,
		"tag": p.list.tag, "kind": d.Kind(),
	}
	for member, header := range map[string]string{"target": "Target", "targetKey": "Target-Key", "targetTag": "Target-Tag"} {
		if v, ok := d.Header(header); ok {
			out[member] = v
		}
	}
	return json.NewEncoder(e.stdout).Encode(out)
}

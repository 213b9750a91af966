package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"

	"github.com/dustin/go-humanize"
	"github.com/dustin/go-humanize/english"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
	"github.com/comntr/comntr/internal/store"
)

type checkCmd struct {
	Data         string   `help:"Folder of the comments. Default: comntr in the user's data folder." placeholder:"DIR"`
	Repair       bool     `help:"Fetch what is damaged or missing from other servers, verified, and put it back."`
	Server       []string `help:"With --repair: URL of a server to ask, instead of finding some on the DHT; repeatable." placeholder:"URL"`
	DHTBootstrap []string `name:"dht-bootstrap" help:"With --repair: nodes to enter the BitTorrent DHT by, or none. Default: the public routers." placeholder:"HOST:PORT"`
	AllowPrivate bool     `help:"With --repair: take servers on private and loopback addresses too."`
}

var (
	errDamage = errors.New("the data folder is damaged: the lines above name what; other servers may have those comments, and comntr check --repair fetches them")
	errLost   = errors.New("the data folder is still damaged: the lines above name what could not be had; try again when more servers are up, or name one with --server")
)

// Run looks at everything, and changes nothing unless it is to repair.
func (c *checkCmd) Run(e *env) error {
	data, lock, err := lockData(c.Data)
	if errors.Is(err, store.ErrLocked) {
		return fmt.Errorf("%w. A running server fetches damaged comments again as soon as somebody asks for them", err)
	}
	if err != nil {
		return err
	}
	defer lock.Close()
	communities, err := communitiesIn(data)
	if err != nil {
		return err
	}
	damaged, repaired := false, false
	var unasked error // nobody could be asked
	for _, id := range communities {
		mended, left, err := c.community(e, data, id)
		if errors.Is(err, errNoServer) {
			unasked, err = err, nil
		}
		if err != nil {
			return fmt.Errorf("check community %s: %w", id, err)
		}
		damaged = damaged || left
		repaired = repaired || mended
	}
	switch {
	case unasked != nil:
		return unasked
	case damaged && c.Repair:
		return errLost
	case damaged:
		return errDamage
	case repaired:
		fmt.Fprintln(e.stdout, "repaired")
	default:
		fmt.Fprintln(e.stdout, "clean")
	}
	return nil
}

// community checks one, and tells whether something of it was repaired and
// whether damage is left.
func (c *checkCmd) community(e *env, data string, id comntr.Hash) (mended, left bool, err error) {
	fmt.Fprintf(e.stdout, "community %s\n", id)
	var faults []store.Fault
	stats, err := store.Check(e.ctx, data, id, store.Options{Log: e.quiet}, func(f store.Fault) {
		if c.Repair && (f.Lost || f.Damage()) {
			faults = append(faults, f)
		}
		kind := "note"
		if f.Damage() {
			kind = "DAMAGE"
		}
		fmt.Fprintf(e.stdout, "  %s %s", kind, f.Kind)
		if f.Topic != (comntr.Hash{}) {
			fmt.Fprintf(e.stdout, " topic %s", f.Topic)
		}
		if f.Comment != (comntr.Hash{}) {
			fmt.Fprintf(e.stdout, " comment %s", f.Comment)
		}
		fmt.Fprintf(e.stdout, ": %s\n", printable(f.Detail))
	})
	if err != nil {
		return false, true, err
	}
	fmt.Fprintf(e.stdout, "  %s, %s, %s\n", english.Plural(stats.Topics, "topic", ""),
		english.Plural(stats.Comments, "comment", ""), humanize.IBytes(uint64(stats.Bytes)))
	left = stats.Faults > 0
	if len(faults) > 0 {
		var r *repairs
		if r, left, err = c.repair(e, data, id, faults); err != nil {
			return false, true, err
		}
		if mended = r.mended; r.denied {
			return mended, left, nil
		}
	}
	if left {
		return mended, true, nil // the ids of damaged folders say nothing
	}
	wrong, err := c.ids(e, data, id)
	return mended || wrong, wrong && !c.Repair, err
}

// ids computes every folder's id from the files anew, prints the community's,
// and compares them with those that the server wrote down. It tells whether some
// were wrong; what the server wrote down is then made anew, if it is to repair.
func (c *checkCmd) ids(e *env, data string, id comntr.Hash) (wrong bool, err error) {
	tmp, err := os.MkdirTemp("", "comntr-check-")
	if err != nil {
		return false, err
	}
	defer os.RemoveAll(tmp)
	hidden := filepath.Join(data, id.String(), ".ipfs")
	recorded, err := ipfs.Recorded(hidden)
	if err != nil {
		fmt.Fprintf(e.stdout, "  note the server's own record of ids cannot be read, and will be made anew: %v\n", err)
	}
	blocks := filepath.Join(hidden, "blocks")
	err = store.View(e.ctx, data, id, store.Options{Log: e.quiet}, func(s *store.Store) (err error) {
		folders, err := ipfs.OpenFolders(tmp, recorded.Version, s, e.quiet)
		if err != nil {
			return err
		}
		defer func() { err = errors.Join(err, folders.Close()) }()
		root, err := folders.Root(e.ctx)
		if err != nil {
			return err
		}
		fmt.Fprintf(e.stdout, "  id %s\n", root)
		if recorded.Epoch != s.Epoch() {
			return nil // of another index: the server computes all anew
		}
		for topic, r := range recorded.Topics {
			if seq, there := s.TopicSeq(topic); !there || seq != r.Seq {
				continue // it changed since the server was last asked
			}
			want, err := folders.Topic(e.ctx, topic)
			if err != nil {
				return err
			}
			if want != r.ID {
				wrong = true
				fmt.Fprintf(e.stdout, "  DAMAGE id topic %s: the server wrote down %s, its files make %s; remove %s, and it is made anew\n",
					topic, r.ID, want, blocks)
			}
		}
		return nil
	})
	if errors.Is(err, store.ErrUnreplayed) {
		fmt.Fprintf(e.stdout, "  note the ids were not computed: %v\n", err)
		err = nil
	}
	if wrong && c.Repair && err == nil {
		if err := os.RemoveAll(blocks); err != nil {
			return wrong, err
		}
		fmt.Fprintf(e.stdout, "  repaired %s: removed, the next start makes it anew\n", blocks)
	}
	return wrong, err
}

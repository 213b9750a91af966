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
	Data string `help:"Folder of the comments. Default: comntr in the user's data folder." placeholder:"DIR"`
}

var errDamage = errors.New("the data folder is damaged: the lines above name what; other servers may have those comments")

// Run looks at everything and changes nothing.
func (c *checkCmd) Run(e *env) error {
	data, lock, err := lockData(c.Data)
	if err != nil {
		return err
	}
	defer lock.Close()
	communities, err := communitiesIn(data)
	if err != nil {
		return err
	}
	damaged := false
	for _, id := range communities {
		ok, err := c.community(e, data, id)
		if err != nil {
			return fmt.Errorf("check community %s: %w", id, err)
		}
		damaged = damaged || !ok
	}
	if damaged {
		return errDamage
	}
	fmt.Fprintln(e.stdout, "clean")
	return nil
}

func (c *checkCmd) community(e *env, data string, id comntr.Hash) (ok bool, err error) {
	fmt.Fprintf(e.stdout, "community %s\n", id)
	stats, err := store.Check(e.ctx, data, id, store.Options{Log: e.quiet}, func(f store.Fault) {
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
		return false, err
	}
	fmt.Fprintf(e.stdout, "  %s, %s, %s\n", english.Plural(stats.Topics, "topic", ""),
		english.Plural(stats.Comments, "comment", ""), humanize.IBytes(uint64(stats.Bytes)))
	if stats.Faults > 0 {
		return false, nil // the ids of damaged folders say nothing
	}
	return c.ids(e, data, id)
}

// ids computes every folder's id from the files anew, prints the community's,
// and compares them with those that the server wrote down.
func (c *checkCmd) ids(e *env, data string, id comntr.Hash) (ok bool, err error) {
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
	ok = true
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
				ok = false
				fmt.Fprintf(e.stdout, "  DAMAGE id topic %s: the server wrote down %s, its files make %s; remove %s, and it is made anew\n",
					topic, r.ID, want, filepath.Join(hidden, "blocks"))
			}
		}
		return nil
	})
	if errors.Is(err, store.ErrUnreplayed) {
		fmt.Fprintf(e.stdout, "  note the ids were not computed: %v\n", err)
		err = nil
	}
	return ok, err
}

package main

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"os"
	"strings"
	"time"

	"github.com/dustin/go-humanize/english"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

type forgetCmd struct {
	From string `help:"Key of the server that brought them, 64 hex digits; comntr servers prints it." required:"" placeholder:"KEY" env:"-"`
	Data string `help:"Folder of the comments. Default: comntr in the user's data folder." placeholder:"DIR"`
}

// AfterApply rejects what a person can mend, before anything is touched.
func (c *forgetCmd) AfterApply() error {
	if b, err := hex.DecodeString(c.From); err != nil || len(b) != 32 || c.From != strings.ToLower(c.From) {
		return errors.New("--from: a server's key has 64 lower-case hex digits; comntr servers prints it")
	}
	return nil
}

// Run denies each comment that the server gave, by its id, in the operator's
// own deny list, and takes them away. So it can be looked at, and taken back
// line by line.
func (c *forgetCmd) Run(e *env) error {
	data, lock, err := lockData(c.Data)
	if err != nil {
		return err
	}
	defer lock.Close()
	file := newDenyFile(data, e.quiet)
	list, err := file.load()
	if err != nil {
		return err
	}
	communities, err := communitiesIn(data)
	if err != nil {
		return err
	}
	var stores []*store.Store
	defer func() {
		for _, s := range stores {
			if e := s.Close(); err == nil {
				err = e
			}
		}
	}()
	var lines bytes.Buffer
	count := 0
	for _, id := range communities {
		s, err := store.Open(data, id, store.Options{Deny: list, Log: e.quiet})
		if err != nil {
			return err
		}
		stores = append(stores, s)
		err = s.Given(c.From, func(topic, comment comntr.Hash) error {
			fmt.Fprintf(&lines, "comment %s/%s/%s\n", id, topic, comment)
			count++
			return e.ctx.Err()
		})
		if err != nil {
			return fmt.Errorf("find what the server gave: %w", err)
		}
	}
	if count == 0 {
		fmt.Fprintln(e.stdout, "nothing that is here came from that server")
		return nil
	}
	head := fmt.Sprintf("# %s from the server %s, forgotten %s\n", english.Plural(count, "comment", ""), c.From, time.Now().UTC().Format(comntr.DateFormat))
	if err := file.append(head + lines.String()); err != nil {
		return err
	}
	if list, err = file.load(); err != nil {
		return err
	}
	for _, s := range stores {
		if err := s.SetDenylist(e.ctx, list); err != nil {
			return err
		}
	}
	fmt.Fprintf(e.stdout, "%s from that server removed and denied; %s names them\n", english.Plural(count, "comment", ""), file.path)
	return nil
}

// append adds lines to the list, durably.
func (f *denyFile) append(text string) error {
	old, err := os.ReadFile(f.path)
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("read the deny list: %w", err)
	}
	if len(old) > 0 && !bytes.HasSuffix(old, []byte("\n")) {
		text = "\n" + text
	}
	if len(old)+len(text) > comntr.MaxDenylist {
		return fmt.Errorf("the deny list would have more than %d bytes: deny by key or topic instead", comntr.MaxDenylist)
	}
	file, err := os.OpenFile(f.path, os.O_APPEND|os.O_CREATE|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("write the deny list: %w", err)
	}
	_, err = file.WriteString(text)
	if err = errors.Join(err, file.Sync(), file.Close()); err != nil {
		return fmt.Errorf("write the deny list: %w", err)
	}
	return nil
}

// communitiesIn are those that have a folder in the data folder.
func communitiesIn(data string) (ids []comntr.Hash, err error) {
	entries, err := os.ReadDir(data)
	if err != nil {
		return nil, err
	}
	for _, entry := range entries {
		if id, err := comntr.ParseHash(entry.Name()); err == nil && entry.IsDir() {
			ids = append(ids, id)
		}
	}
	return ids, nil
}

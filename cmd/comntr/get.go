package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/comntr/comntr"
)

// maxIndent is how many levels of replies are indented; deeper ones stand at
// that level.
const maxIndent = 8

// maxUserShown is how much of an author's name is shown: it may have thousands
// of bytes.
const maxUserShown = 60

type getCmd struct {
	findFlags
	Sort       string   `help:"How the top level is sorted: newest, oldest, best or discussed." default:"oldest" enum:"newest,oldest,best,discussed"`
	Filter     []string `help:"Read with this moderators' list: its id, as comntr mod new prints it; repeatable. none: with no list." placeholder:"ID"`
	ShowHidden bool     `help:"Show what the lists hide, too, and by which."`
	Topic      string   `arg:"" help:"Name of the topic, such as /r/news, its hash, or a page's URL."`

	lists []comntr.Hash
}

// AfterApply reads the ids of the lists, before anything is touched.
func (c *getCmd) AfterApply() error {
	for _, s := range off(c.Filter) {
		id, err := comntr.ParseHash(strings.TrimSpace(s))
		if err != nil {
			return fmt.Errorf("--filter: %w; comntr mod new prints the id of a list of yours", err)
		}
		if !slices.Contains(c.lists, id) {
			c.lists = append(c.lists, id)
		}
	}
	if len(c.lists) > maxFilters {
		return fmt.Errorf("--filter: %d lists; %d at most", len(c.lists), maxFilters)
	}
	return nil
}

func (c *getCmd) Run(e *env) error {
	order, err := comntr.ParseOrder(c.Sort)
	if err != nil {
		return fmt.Errorf("%w: --sort: %v", errUsage, err)
	}
	place := c.place(c.Topic)
	return c.first(e, func(ctx context.Context, s *comntr.Client) error {
		folder, err := s.Folder(ctx, place)
		if err != nil {
			return err
		}
		now := time.Now()
		var at []comntr.Place
		for _, list := range c.lists {
			at = append(at, comntr.Place{Community: place.Community, Topic: list})
		}
		filters, err := listsAt(s).filters(ctx, e, at, now)
		if err != nil {
			return err
		}
		thread := comntr.Fold(documents(place, folder), filters, now, order)
		if c.JSON {
			type comment struct {
				ID   comntr.Hash `json:"id"`
				Text string      `json:"text"`
			}
			out := struct {
				CID       string         `json:"cid"`
				Server    string         `json:"server"`
				Community comntr.Hash    `json:"community"`
				Topic     comntr.Hash    `json:"topic"`
				Comments  []comment      `json:"comments"` // the files as they are
				Thread    *comntr.Thread `json:"thread"`   // what they make
				// What the lists say, in the order in which they were named.
				Filters []comntr.Filter `json:"filters,omitempty"`
			}{folder.CID.String(), s.Origin(), place.Community, place.Topic, []comment{}, thread, filters}
			for _, f := range folder.Comments {
				out.Comments = append(out.Comments, comment{f.ID, string(f.Bytes)})
			}
			return json.NewEncoder(e.stdout).Encode(out)
		}
		w := bufio.NewWriter(e.stdout)
		fmt.Fprintln(w, folder.CID)
		printThread(w, thread, filters, c.ShowHidden)
		return w.Flush()
	})
}

// documents are those of a folder. What is no valid document here no honest
// server lists.
func documents(place comntr.Place, folder *comntr.Folder) []*comntr.Document {
	raw := make([]comntr.Raw, len(folder.Comments))
	for i, f := range folder.Comments {
		raw[i] = comntr.Raw{Place: place, Bytes: f.Bytes}
	}
	docs, _ := comntr.ParseDocuments(raw)
	return slices.DeleteFunc(docs, func(d *comntr.Document) bool { return d == nil })
}

// threadPrinter writes a thread for people.
type threadPrinter struct {
	*bufio.Writer
	names      map[comntr.Hash]string // of the filters, by their lists
	showHidden bool
}

// printThread writes the comments and, at the end, how many each filter hides.
func printThread(w *bufio.Writer, thread *comntr.Thread, filters []comntr.Filter, showHidden bool) {
	p := threadPrinter{w, map[comntr.Hash]string{}, showHidden}
	for i := range filters {
		p.names[filters[i].List.Topic] = filterName(&filters[i])
	}
	if len(thread.Locked) > 0 {
		fmt.Fprintf(w, "\nthe topic is%s\n", p.by("locked", thread.Locked)[1:])
	}
	hidden := map[comntr.Hash]int{}
	var locks [][]comntr.Hash // of the comments from the top level down to the last one
	for i := range thread.Comments {
		c := &thread.Comments[i]
		locks = append(locks[:c.Depth], c.Locked)
		if c.Depth > 0 && slices.Equal(c.Locked, locks[c.Depth-1]) {
			p.comment(c, nil) // a lock is marked where it begins
		} else {
			p.comment(c, c.Locked)
		}
		if !c.Deleted {
			for _, list := range c.Hidden {
				hidden[list]++
			}
		}
	}
	if showHidden {
		return
	}
	gap := "\n"
	for i := range filters {
		if n := hidden[filters[i].List.Topic]; n > 0 {
			fmt.Fprintf(w, "%s%d hidden by %s (--show-hidden shows what)\n", gap, n, filterName(&filters[i]))
			gap = ""
		}
	}
}

// by is a mark and the filters that set it, "" where there are none.
func (p *threadPrinter) by(mark string, lists []comntr.Hash) string {
	if len(lists) == 0 {
		return ""
	}
	names := make([]string, len(lists))
	for i, list := range lists {
		names[i] = p.names[list]
	}
	return "  " + mark + " by " + strings.Join(names, ", ")
}

// comment writes a comment: a line of its id, author, date, score and marks,
// then its body, all indented by its depth. One that is hidden leaves its
// place where there are replies to it, as one that is deleted does.
func (p *threadPrinter) comment(c *comntr.Comment, locked []comntr.Hash) {
	hidden := len(c.Hidden) > 0 && !p.showHidden
	if (hidden || c.Deleted && !p.showHidden) && c.Replies == 0 {
		return
	}
	indent := strings.Repeat("    ", min(c.Depth, maxIndent))
	fmt.Fprintf(p, "\n%s%s", indent, c.ID)
	if user := c.User(); user != "" && !hidden {
		// In one line without two spaces together: those part it from the marks.
		fmt.Fprintf(p, "  %s", shorten(user, maxUserShown))
	}
	if key, ok := c.Key(); ok && !hidden {
		fmt.Fprintf(p, "  %s", comntr.KeyMark(key))
	}
	if c.Dated {
		fmt.Fprintf(p, "  %s", c.Date.Format(comntr.DateFormat))
	}
	if (c.Up > 0 || c.Down > 0) && !hidden {
		fmt.Fprintf(p, "  %+d (%d up, %d down)", c.Up-c.Down, c.Up, c.Down)
	}
	if c.Edit != nil && !hidden {
		fmt.Fprint(p, "  edited")
	}
	if c.Missing {
		fmt.Fprintf(p, "  reply to %s, which is not here", c.Parent)
	}
	fmt.Fprint(p, p.by("pinned", c.Pinned), p.by("locked", locked))
	switch {
	case c.Deleted:
		fmt.Fprintf(p, "\n%s    deleted\n", indent)
		return
	case hidden:
		fmt.Fprintf(p, "\n%s  %s\n", indent, p.by("hidden", c.Hidden))
		return
	}
	fmt.Fprint(p, p.by("hidden", c.Hidden))
	text := strings.TrimRight(printable(string(c.Body())), "\n")
	// The bar keeps a comment from drawing other comments below itself.
	bar := "\n" + indent + "  | "
	fmt.Fprintf(p, "%s%s\n", bar, strings.ReplaceAll(text, "\n", bar))
}

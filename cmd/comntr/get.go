package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/comntr/comntr"
)

// maxIndent is how many levels of replies are indented; deeper ones stand at
// that level.
const maxIndent = 8

type getCmd struct {
	findFlags
	Sort  string `help:"How the top level is sorted: newest, oldest, best or discussed." default:"oldest" enum:"newest,oldest,best,discussed"`
	Topic string `arg:"" help:"Name of the topic, such as /r/news, its hash, or a page's URL."`
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
		raw := make([]comntr.Raw, len(folder.Comments))
		for i, f := range folder.Comments {
			raw[i] = comntr.Raw{Place: place, Bytes: f.Bytes}
		}
		docs, _ := comntr.ParseDocuments(raw)
		// What is no valid document here no honest server lists.
		docs = slices.DeleteFunc(docs, func(d *comntr.Document) bool { return d == nil })
		thread := comntr.Fold(docs, nil, time.Now(), order)
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
			}{folder.CID.String(), s.Origin(), place.Community, place.Topic, []comment{}, thread}
			for _, f := range folder.Comments {
				out.Comments = append(out.Comments, comment{f.ID, string(f.Bytes)})
			}
			return json.NewEncoder(e.stdout).Encode(out)
		}
		w := bufio.NewWriter(e.stdout)
		fmt.Fprintln(w, folder.CID)
		for i := range thread.Comments {
			printComment(w, &thread.Comments[i])
		}
		return w.Flush()
	})
}

// printComment writes a comment: a line of its id, author, date, score and
// marks, then its body, all indented by its depth.
func printComment(w io.Writer, c *comntr.Comment) {
	indent := strings.Repeat("    ", min(c.Depth, maxIndent))
	fmt.Fprintf(w, "\n%s%s", indent, c.ID)
	if user := c.User(); user != "" {
		fmt.Fprintf(w, "  %s", printable(user))
	}
	if key, ok := c.Key(); ok {
		fmt.Fprintf(w, "  %s", comntr.KeyMark(key))
	}
	if c.Dated {
		fmt.Fprintf(w, "  %s", c.Date.Format(comntr.DateFormat))
	}
	if c.Up > 0 || c.Down > 0 {
		fmt.Fprintf(w, "  %+d (%d up, %d down)", c.Up-c.Down, c.Up, c.Down)
	}
	if c.Edit != nil {
		fmt.Fprint(w, "  edited")
	}
	if c.Missing {
		fmt.Fprintf(w, "  reply to %s, which is not here", c.Parent)
	}
	if c.Deleted {
		fmt.Fprintf(w, "\n%s    deleted\n", indent)
		return
	}
	text := strings.TrimRight(printable(string(c.Body())), "\n")
	fmt.Fprintf(w, "\n%s    %s\n", indent, strings.ReplaceAll(text, "\n", "\n"+indent+"    "))
}

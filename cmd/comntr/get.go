package main

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"strings"

	"github.com/comntr/comntr"
)

type getCmd struct {
	findFlags
	Topic string `arg:"" help:"Name of the topic, such as /r/news, or its hash."`
}

func (c *getCmd) Run(e *env) error {
	place := c.place(c.Topic)
	return c.first(e, func(ctx context.Context, s *comntr.Client) error {
		folder, err := s.Folder(ctx, place)
		if err != nil {
			return err
		}
		if c.JSON {
			type comment struct {
				ID   comntr.Hash `json:"id"`
				Text string      `json:"text"`
			}
			out := struct {
				CID       string      `json:"cid"`
				Server    string      `json:"server"`
				Community comntr.Hash `json:"community"`
				Topic     comntr.Hash `json:"topic"`
				Comments  []comment   `json:"comments"`
			}{folder.CID.String(), s.Origin(), place.Community, place.Topic, []comment{}}
			for _, f := range folder.Comments {
				out.Comments = append(out.Comments, comment{f.ID, string(f.Bytes)})
			}
			return json.NewEncoder(e.stdout).Encode(out)
		}
		w := bufio.NewWriter(e.stdout)
		fmt.Fprintln(w, folder.CID)
		for _, f := range folder.Comments {
			byline, body := "", string(f.Bytes)
			// What is no valid document here, no honest server would list.
			if d, err := comntr.ParseDocument(place, f.Bytes); err == nil && d.Signed() {
				byline, body = printable(signedBy(d)), string(d.Body())
			}
			text := strings.TrimRight(printable(body), "\n")
			fmt.Fprintf(w, "\n%s%s\n    %s\n", f.ID, byline, strings.ReplaceAll(text, "\n", "\n    "))
		}
		return w.Flush()
	})
}

// signedBy is what stands behind a signed comment's id: who, when, and what it
// does to which other comment.
func signedBy(d *comntr.Document) string {
	var s strings.Builder
	if user, ok := d.User(); ok {
		s.WriteString("  " + user)
	}
	s.WriteString("  " + comntr.KeyMark(d.Key()))
	if date, ok := d.Date(); ok {
		s.WriteString("  " + date.Format(comntr.DateFormat))
	}
	if target, ok := d.Target(); ok {
		fmt.Fprintf(&s, "  %s of %s", d.Kind(), target)
	} else if parent, ok := d.Parent(); ok {
		fmt.Fprintf(&s, "  reply to %s", parent)
	}
	return s.String()
}

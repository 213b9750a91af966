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
			text := strings.TrimRight(printable(string(f.Bytes)), "\n")
			fmt.Fprintf(w, "\n%s\n    %s\n", f.ID, strings.ReplaceAll(text, "\n", "\n    "))
		}
		return w.Flush()
	})
}

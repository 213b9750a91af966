package main

import (
	"context"
	"encoding/json"
	"fmt"
	"io"

	"github.com/comntr/comntr"
)

type postCmd struct {
	findFlags
	Topic string `arg:"" help:"Name of the topic, such as /r/news, or its hash."`
	Text  string `arg:"" help:"The comment; - reads it from standard input."`
}

func (c *postCmd) Run(e *env) error {
	text := []byte(c.Text)
	if c.Text == "-" {
		b, err := io.ReadAll(io.LimitReader(e.stdin, comntr.MaxDocument+1))
		if err != nil {
			return fmt.Errorf("read the comment: %w", err)
		}
		text = b
	}
	place := c.place(c.Topic)
	// The gate that the server has, before anything goes out.
	if _, err := comntr.ParseDocument(place, text); err != nil {
		return err
	}
	return c.first(e, func(ctx context.Context, s *comntr.Client) error {
		id, created, err := s.Post(ctx, place, text)
		if err != nil {
			return err
		}
		if !c.JSON {
			_, err = fmt.Fprintln(e.stdout, id)
			return err
		}
		return json.NewEncoder(e.stdout).Encode(map[string]any{
			"id": id, "created": created, "server": s.Origin(), "community": place.Community, "topic": place.Topic,
		})
	})
}

package main

import (
	"fmt"

	"github.com/comntr/comntr"
)

type idCmd struct {
	Name string `arg:"" help:"Name of a topic or community, such as /r/news."`
}

func (c *idCmd) Run(e *env) error {
	_, err := fmt.Fprintln(e.stdout, comntr.NameHash(c.Name))
	return err
}

package main

import (
	"fmt"

	"github.com/comntr/comntr"
)

type idCmd struct {
	Name string `arg:"" help:"Name of a topic or community, such as /r/news or a page's URL, which is cleaned."`
}

func (c *idCmd) Run(e *env) error {
	name := comntr.CleanName(c.Name)
	if name != c.Name {
		fmt.Fprintf(e.stderr, "the name is taken as %s\n", name)
	}
	_, err := fmt.Fprintln(e.stdout, comntr.NameHash(name))
	return err
}

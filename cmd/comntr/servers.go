package main

import (
	"encoding/json"
	"fmt"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
)

type serversCmd struct {
	findFlags
}

func (c *serversCmd) Run(e *env) error {
	var failed error
	err := c.each(e, func(client *comntr.Client, s discover.Server) bool {
		if s.Hello == nil { // named by --server: not asked yet
			start := time.Now()
			h, err := client.HelloAny(e.ctx)
			if err != nil {
				failed = fmt.Errorf("%w: %s: %v", errNoServer, client.Origin(), err)
				return false
			}
			s.Hello, s.Key, s.Latency = h, h.Key, time.Since(start)
		}
		if c.JSON {
			failed = json.NewEncoder(e.stdout).Encode(map[string]any{
				"url": s.Origin, "key": s.Key, "latencyMs": float64(s.Latency.Microseconds()) / 1000, "software": s.Hello.Software,
			})
		} else {
			_, failed = fmt.Fprintf(e.stdout, "%s %s %s\n", s.Origin, s.Key, s.Latency.Round(100*time.Microsecond))
		}
		return failed == nil
	})
	if err != nil {
		return err
	}
	return failed
}

package main

import (
	"fmt"
	"runtime/debug"
)

// version is the release that this source is; CHANGELOG.md lists them.
const version = "0.1.0"

type versionCmd struct{}

func (c *versionCmd) Run(e *env) error {
	line := "comntr " + version
	if info, ok := debug.ReadBuildInfo(); ok {
		for _, s := range info.Settings {
			if s.Key == "vcs.revision" && len(s.Value) >= 12 {
				line += " " + s.Value[:12]
			}
		}
		line += " " + info.GoVersion
	}
	_, err := fmt.Fprintln(e.stdout, line)
	return err
}

// Package web holds the page as it was built: files that a browser runs, put
// there by `make web` from the sources beside it. It is data alone; who serves
// it and how is internal/api's.
package web

import (
	"embed"
	"io/fs"
)

//go:embed dist
var dist embed.FS

// Page has index.html, config.json and a folder whose name follows from what is
// in it.
func Page() fs.FS {
	page, err := fs.Sub(dist, "dist")
	if err != nil {
		panic(err) // only a path that is none is an error
	}
	return page
}

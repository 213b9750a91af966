package api

import (
	"bytes"
	"cmp"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"io/fs"
	"net/http"
	"path"
	"strings"

	"github.com/klauspost/compress/gzip"
)

// pagePolicy is the Content-Security-Policy of the page: its own scripts and
// styles, and connections to any server, for that is what it is about. The page
// has the same in its text, for hosts that send none (but frame-ancestors, which
// counts in a header alone). Workers take the one that
// their script comes with, so that every file has it.
const pagePolicy = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self' http: https: ws: wss:; worker-src 'self'; " +
	"base-uri 'none'; form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types comntr"

const (
	pageIndex  = "index.html"
	pageConfig = "config.json"
	// What stands in a folder has a name that follows from its bytes; what stands
	// beside the index does not.
	cachePage   = "public, max-age=31536000, immutable"
	cacheConfig = "no-cache"
)

// pageTypes are the files that a page may have.
var pageTypes = map[string]string{
	".html": "text/html; charset=utf-8",
	".js":   "text/javascript; charset=utf-8",
	".css":  "text/css; charset=utf-8",
	".json": "application/json",
	".svg":  "image/svg+xml",
}

// page is the web client: its files by the paths that they are asked for by. The
// table is all that is looked at, so that no path leads anywhere else.
type page map[string]*pageFile

type pageFile struct {
	body, gzip               []byte
	contentType, etag, cache string
}

// newPage reads the client, which may be nil, and makes its configuration: the
// page that a server gives asks that server.
func newPage(files fs.FS, community Community) (page, error) {
	p := page{}
	if files == nil {
		return p, nil
	}
	config, err := json.Marshal(map[string]any{"community": cmp.Or(community.Name, community.ID.String()), "servers": []string{"."}, "trackers": []string{}})
	if err != nil {
		return nil, err
	}
	p["/"+pageConfig] = newPageFile(pageTypes[".json"], cacheConfig, config)
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || d.IsDir() || name == pageConfig {
			return err
		}
		typ, ok := pageTypes[path.Ext(name)]
		if !ok {
			return fmt.Errorf("the page has a file %s, of a type that is not served", name)
		}
		body, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		cache := cacheConfig
		if strings.Contains(name, "/") {
			cache = cachePage
		}
		p["/"+name] = newPageFile(typ, cache, body)
		return nil
	})
	if err != nil {
		return nil, err
	}
	index, ok := p["/"+pageIndex]
	if !ok {
		return nil, fmt.Errorf("the page has no %s", pageIndex)
	}
	// The index is "/": one page has one address.
	delete(p, "/"+pageIndex)
	p["/"] = index
	return p, nil
}

func newPageFile(contentType, cache string, body []byte) *pageFile {
	sum := sha256.Sum256(body)
	var b bytes.Buffer
	gz, _ := gzip.NewWriterLevel(&b, gzip.BestCompression) // a level that exists
	gz.Write(body)                                         // memory takes it
	gz.Close()
	return &pageFile{body: body, gzip: b.Bytes(), contentType: contentType, etag: `W/"page-` + hex.EncodeToString(sum[:8]) + `"`, cache: cache}
}

// index is the page itself, or nil.
func (p page) index() *pageFile { return p["/"] }

// file is what stands at a path besides the index, which shares its path with
// the community's folder.
func (p page) file(path string) *pageFile {
	if path == "/" {
		return nil
	}
	return p[path]
}

func (f *pageFile) answer(w *answer, r *http.Request) error {
	w.always() // one of them is another
	h := w.Header()
	h.Set("Content-Security-Policy", pagePolicy)
	h.Set("Cache-Control", f.cache)
	if h.Get("Vary") == "" {
		h.Set("Vary", "Accept-Encoding")
	}
	if notModified(w, r, f.etag) {
		return nil
	}
	body := f.body
	if takesGzip(r.Header["Accept-Encoding"]) {
		h.Set("Content-Encoding", "gzip")
		body = f.gzip
	}
	writeBody(w, r, http.StatusOK, f.contentType, body)
	return nil
}

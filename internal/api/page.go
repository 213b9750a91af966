package api

import (
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/hex"
	"strings"
)

//go:embed index.html
var indexHTML []byte

// page is the embedded web page with what belongs to it.
type page struct {
	body      []byte
	etag, csp string
}

// newPage computes the Content-Security-Policy that lets the page's own style
// through and nothing else at all.
func newPage(body []byte) page {
	sum := sha256.Sum256(body)
	p := page{
		body: body,
		etag: `"page-` + hex.EncodeToString(sum[:8]) + `"`,
		csp:  "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
	}
	_, rest, _ := strings.Cut(string(body), "<style>")
	if style, _, ok := strings.Cut(rest, "</style>"); ok {
		sum := sha256.Sum256([]byte(style))
		p.csp += "; style-src 'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'"
	}
	return p
}

package api

import (
	"encoding/hex"
	"net/http"
	"strings"

	"github.com/comntr/comntr"
)

// kind is what a path names.
type kind int

const (
	kindRoot    kind = iota // the first community's folder of topics, or the page
	kindFolder              // a named community's folder of topics
	kindTopic               // a topic's folder, where comments are posted
	kindComment             // one comment's file
	kindEvents
	kindTopics
	kindCounts
	kindIPFS
	kindBlocks
	kindHello
	kindPage // a file of the web client
	kindAnnounce
)

// announcePath is where WebTorrent's clients expect a tracker.
const announcePath = "/announce"

// maxCIDText bounds a CID's text. Those of comntr's folders have 46 or 59 bytes in
// their usual forms; base16 is the longest form anyone writes.
const maxCIDText = 128

// route is a path that has been understood.
type route struct {
	kind      kind
	community comntr.Hash
	topic     comntr.Hash
	comment   comntr.Hash
	cid       string
	file      string
}

// path is the one spelling of the route with its community written out; of a
// CID and of fixed paths, themselves.
func (rt route) path() string {
	switch rt.kind {
	case kindRoot:
		return "/"
	case kindFolder:
		return "/" + rt.community.String()
	case kindTopic:
		return "/" + rt.community.String() + "/" + rt.topic.String()
	case kindComment:
		const length = 1 + 40
		var b [3 * length]byte // every post is answered with one
		for i, h := range [...]*comntr.Hash{&rt.community, &rt.topic, &rt.comment} {
			b[i*length] = '/'
			hex.Encode(b[i*length+1:], h[:])
		}
		return string(b[:])
	case kindEvents, kindTopics, kindCounts:
		return "/" + rt.community.String() + "/" + wordOf[rt.kind]
	case kindIPFS:
		return "/ipfs/" + rt.cid
	case kindBlocks:
		return "/blocks"
	case kindPage:
		return rt.file
	case kindAnnounce:
		return announcePath
	default:
		return comntr.HelloPath
	}
}

// allow lists the methods of the route, for Allow and for CORS.
func (rt route) allow() string {
	switch rt.kind {
	case kindTopic:
		return "GET, HEAD, OPTIONS, POST"
	case kindBlocks, kindCounts:
		return "OPTIONS, POST"
	default:
		return "GET, HEAD, OPTIONS"
	}
}

// words are the paths of a community that are no hashes.
var words = map[string]kind{"events": kindEvents, "topics": kindTopics, "counts": kindCounts}

var wordOf = map[kind]string{kindEvents: "events", kindTopics: "topics", kindCounts: "counts"}

// parsePath reads a path exactly as it was sent, its escapes included: nothing
// is cleaned and nothing redirects, because a second spelling of a path would
// be a second key in every cache on the way. first is the community meant
// where the path names none.
func parsePath(path string, first comntr.Hash, hosted func(comntr.Hash) bool) (route, error) {
	switch path {
	case "/":
		return route{kind: kindRoot, community: first}, nil
	case "/blocks":
		return route{kind: kindBlocks}, nil
	case comntr.HelloPath:
		return route{kind: kindHello}, nil
	case announcePath:
		return route{kind: kindAnnounce}, nil
	}
	if c, ok := strings.CutPrefix(path, "/ipfs/"); ok {
		if strings.Contains(c, "/") {
			return route{}, badPath(path, "paths below a CID are not resolved here: ask for /ipfs/<cid> alone")
		}
		if !cidText(c) {
			return route{}, badPath(path, "after /ipfs/ a CID is wanted")
		}
		return route{kind: kindIPFS, cid: c}, nil
	}
	rest, ok := strings.CutPrefix(path, "/")
	if !ok {
		return route{}, badPath(path, "a path begins with /")
	}
	if kind, ok := words[rest]; ok {
		return route{kind: kind, community: first}, nil
	}
	var names [3]comntr.Hash
	n := 0
	for rest != "" || n == 0 {
		part, after, more := strings.Cut(rest, "/")
		if kind, ok := words[part]; ok && n == 1 && !more {
			if !hosted(names[0]) {
				return route{}, notHosted(names[0])
			}
			return route{kind: kind, community: names[0]}, nil
		}
		if n == len(names) {
			return route{}, badPath(path, "at most /<community>/<topic>/<comment> is known")
		}
		h, err := comntr.ParseHash(part)
		if err != nil {
			return route{}, badPath(path, "communities, topics and comments are written as 40 lower-case hex digits, the SHA-1 of the name or of the bytes")
		}
		names[n] = h
		n++
		rest = after
		if more && rest == "" && (n != 1 || !hosted(h)) {
			return route{}, badPath(path, "a topic and a comment have no slash at their end")
		}
	}
	switch {
	case n == 1 && hosted(names[0]):
		return route{kind: kindFolder, community: names[0]}, nil
	case n == 1:
		return route{kind: kindTopic, community: first, topic: names[0]}, nil
	case n == 2 && hosted(names[0]):
		return route{kind: kindTopic, community: names[0], topic: names[1]}, nil
	case n == 2:
		return route{kind: kindComment, community: first, topic: names[0], comment: names[1]}, nil
	case hosted(names[0]):
		return route{kind: kindComment, community: names[0], topic: names[1], comment: names[2]}, nil
	default:
		return route{}, notHosted(names[0])
	}
}

// cidText reports whether s has the alphabet and length of a CID's text.
func cidText(s string) bool {
	if s == "" || len(s) > maxCIDText {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < '0' || c > '9') && (c < 'a' || c > 'z') && (c < 'A' || c > 'Z') {
			return false
		}
	}
	return true
}

func badPath(path, advice string) error {
	return problem(http.StatusBadRequest, comntr.CodeBadPath, "the path %q is not known: %s", clip(path, 140), advice)
}

func notHosted(community comntr.Hash) error {
	return problem(http.StatusNotFound, comntr.CodeNotFound,
		"this server does not hold the community %s: its hello at %s names those it does", community, comntr.HelloPath)
}

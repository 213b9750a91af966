package api

import (
	"errors"
	"net/http"
	"strings"
	"testing"

	"github.com/comntr/comntr"
)

var (
	reddit = comntr.NameHash("reddit")
	other  = comntr.NameHash("other")
	news   = comntr.NameHash("/r/news")
	cool   = comntr.SumHash([]byte("Cool!"))
)

func hostedHere(h comntr.Hash) bool { return h == reddit || h == other }

func TestParsePath(t *testing.T) {
	r, o, n, c := "/"+reddit.String(), "/"+other.String(), "/"+news.String(), "/"+cool.String()
	for _, tt := range []struct {
		path string
		want route
	}{
		{"/", route{kind: kindRoot, community: reddit}},
		{r, route{kind: kindFolder, community: reddit}},
		{r + "/", route{kind: kindFolder, community: reddit}},
		{o, route{kind: kindFolder, community: other}},
		{n, route{kind: kindTopic, community: reddit, topic: news}},
		{r + n, route{kind: kindTopic, community: reddit, topic: news}},
		{o + n, route{kind: kindTopic, community: other, topic: news}},
		{r + r, route{kind: kindTopic, community: reddit, topic: reddit}}, // a topic of that very name needs both
		{n + c, route{kind: kindComment, community: reddit, topic: news, comment: cool}},
		{n + r, route{kind: kindComment, community: reddit, topic: news, comment: reddit}},
		{o + n + c, route{kind: kindComment, community: other, topic: news, comment: cool}},
		{"/events", route{kind: kindEvents, community: reddit}},
		{o + "/events", route{kind: kindEvents, community: other}},
		{"/blocks", route{kind: kindBlocks}},
		{"/ipfs/QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn", route{kind: kindIPFS, cid: "QmUNLLsPACCz1vLxQVkXqqLX5R1X345qqfHbsf67hvA3Nn"}},
		{"/.well-known/comntr.json", route{kind: kindHello}},
		{"/announce", route{kind: kindAnnounce}},
	} {
		if got, err := parsePath(tt.path, reddit, hostedHere); err != nil || got != tt.want {
			t.Errorf("parsePath(%q) = %+v, %v; want %+v", tt.path, got, err, tt.want)
		}
	}
	for path, code := range map[string]string{
		"":                 comntr.CodeBadPath,
		"*":                comntr.CodeBadPath,
		"//":               comntr.CodeBadPath,
		"/" + n:            comntr.CodeBadPath,
		n + "/":            comntr.CodeBadPath,
		n + "//":           comntr.CodeBadPath,
		r + "//":           comntr.CodeBadPath,
		r + "/" + n:        comntr.CodeBadPath,
		n + "/" + c:        comntr.CodeBadPath,
		r + n + "/":        comntr.CodeBadPath,
		n + c + "/":        comntr.CodeBadPath,
		r + n + c + "/":    comntr.CodeBadPath,
		r + n + c + c:      comntr.CodeBadPath,
		"/.":               comntr.CodeBadPath,
		"/..":              comntr.CodeBadPath,
		n + "/..":          comntr.CodeBadPath,
		n + "/../" + c[1:]: comntr.CodeBadPath,
		"/%2e%2e" + n:      comntr.CodeBadPath,
		r + "%2f" + n[1:]:  comntr.CodeBadPath,
		"/%32" + n[2:]:     comntr.CodeBadPath,
		strings.ToUpper(n): comntr.CodeBadPath,
		n[:40]:             comntr.CodeBadPath,
		n + "0":            comntr.CodeBadPath,
		n + " ":            comntr.CodeBadPath,
		n + ";x":           comntr.CodeBadPath,
		n + "\x00":         comntr.CodeBadPath,
		"/.ipfs":           comntr.CodeBadPath,
		r + "/.ipfs":       comntr.CodeBadPath,
		r + "/.ipfs/index": comntr.CodeBadPath,
		"/.comntr/key":     comntr.CodeBadPath,
		"/ipfs":            comntr.CodeBadPath,
		"/ipfs/":           comntr.CodeBadPath,
		"/ipfs/../key":     comntr.CodeBadPath,
		"/ipfs/bafkqaaa/":  comntr.CodeBadPath,
		"/ipfs/bafkqaaa/x": comntr.CodeBadPath,
		"/ipfs/" + strings.Repeat("b", maxCIDText+1): comntr.CodeBadPath,
		"/blocks/":                  comntr.CodeBadPath,
		"/events/":                  comntr.CodeBadPath,
		"/announce/":                comntr.CodeBadPath,
		r + "/announce":             comntr.CodeBadPath,
		r + "/events/":              comntr.CodeBadPath,
		r + "/blocks":               comntr.CodeBadPath,
		"/.well-known/comntr.json/": comntr.CodeBadPath,
		"/.well-known/":             comntr.CodeBadPath,
		"/favicon.ico":              comntr.CodeBadPath,
		n + "/events":               comntr.CodeNotFound,
		n + n + c:                   comntr.CodeNotFound,
	} {
		rt, err := parsePath(path, reddit, hostedHere)
		var p *comntr.Problem
		if !errors.As(err, &p) || p.Code != code {
			t.Errorf("parsePath(%q) = %+v, %v; want the code %s", path, rt, err, code)
		}
	}
}

// FuzzRoute: what parses is spelled in the one way there is, or leaves the
// community out.
func FuzzRoute(f *testing.F) {
	for _, s := range []string{"/", "//", "/events", "/blocks", "/.well-known/comntr.json", "/ipfs/bafkqaaa", "/%2e", "/" + news.String() + "/" + cool.String(),
		"/" + reddit.String() + "/", "/" + reddit.String() + "/events", "/" + other.String() + "/" + news.String() + "/" + cool.String()} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, path string) {
		rt, err := parsePath(path, reddit, hostedHere)
		if err != nil {
			p := problemOf(err)
			if p.Status != http.StatusBadRequest && p.Status != http.StatusNotFound {
				t.Fatalf("%q: status %d", path, p.Status)
			}
			if len(p.Detail) > 1000 {
				t.Fatalf("%q: a detail of %d bytes", path, len(p.Detail))
			}
			return
		}
		want := rt.path()
		short := strings.TrimPrefix(want, "/"+reddit.String())
		if path != want && path != short && !(rt.kind == kindFolder && path == want+"/") {
			t.Fatalf("%q was taken for %q", path, want)
		}
		again, err := parsePath(want, reddit, hostedHere)
		if err != nil || again != rt {
			t.Fatalf("%q parses as %+v, but its path %q as %+v, %v", path, rt, want, again, err)
		}
	})
}

func TestNegotiate(t *testing.T) {
	for _, tt := range []struct{ accept, want string }{
		{"*/*", typeText},
		{"text/*", typeText},
		{"text/plain", typeText},
		{"TEXT/Plain ; charset=utf-8", typeText},
		{"text/html", typeHTML},
		{"text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", typeHTML},
		{"text/html, */*", typeHTML},
		{"*/*, text/html", typeHTML},
		{"text/html;q=0.5, */*", typeText},
		{"text/html;q=0.5, */*;q=0.4", typeHTML},
		{"text/html;q=0, */*;q=0.1", typeText},
		{"text/html, text/plain", typeText},
		{"application/vnd.ipld.car", typeCAR},
		{"application/vnd.ipld.car;version=1;order=dfs;dups=y", typeCAR},
		{"application/vnd.ipld.car; version=\"1\"", typeCAR},
		{"application/vnd.ipld.car;version=2", ""},
		{"application/vnd.ipld.car;order=bfs, text/plain;q=0.1", typeText},
		{"application/*", typeCAR},
		{"application/json", ""},
		{"text/plain;q=0", ""},
		{"*/*;q=0", ""},
		{"image/png, application/json;q=0.5", ""},
		{";;;, text/plain", typeText},
		{"nonsense/", typeText}, // nothing that can be read: as if nothing were sent
		{",,", typeText},
		{"", typeText},
		{"text/html;q=1.0000, text/plain;q=0.1", typeText}, // a malformed weight
		{"text/html;q=2, text/plain;q=0.1", typeText},
		{"text/html;x=\"a,b;q=0\"", typeHTML},
		{"*/html, text/plain;q=0.1", typeText},
	} {
		got, _, _ := negotiate(parseAccept([]string{tt.accept}), typeText, typeHTML, typeCAR)
		if got != tt.want {
			t.Errorf("Accept: %s gives %q, want %q", tt.accept, got, tt.want)
		}
	}
	if got, _, ok := negotiate(parseAccept(nil), typeText, typeHTML); !ok || got != typeText {
		t.Errorf("no Accept gives %q", got)
	}
}

func TestTakesGzip(t *testing.T) {
	for accept, want := range map[string]bool{
		"": false, "gzip": true, "gzip, deflate, br": true, "gzip;q=0": false, "*": true, "*, gzip;q=0": false,
		"gzip;q=0, *": false, "identity": false, "br": false, "x-gzip": true, "GZIP": true, "gzip;q=0.001": true, "text/gzip": false,
	} {
		if got := takesGzip([]string{accept}); got != want {
			t.Errorf("Accept-Encoding: %s: %v", accept, got)
		}
	}
}

func FuzzAccept(f *testing.F) {
	for _, s := range []string{"*/*", "text/html;q=0.5, */*;q=0.1", `a/b;c="d,e\"";q=1.000`, ";,;", `"`, "text/plain;q="} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, s string) {
		ranges := parseAccept([]string{s})
		for _, m := range ranges {
			if m.q < 0 || m.q > 1000 || m.typ == "" {
				t.Fatalf("%q: %+v", s, m)
			}
		}
		offer, named, ok := negotiate(ranges, typeText, typeHTML, typeCAR)
		if ok != (offer != "") || ok && len(ranges) > 0 && (named == nil || named.q == 0) {
			t.Fatalf("%q: %q, %v, %v", s, offer, named, ok)
		}
		takesGzip([]string{s})
		etagMatches([]string{s}, `"a"`)
	})
}

func TestEtagMatches(t *testing.T) {
	for _, tt := range []struct {
		header, etag string
		want         bool
	}{
		{`"a"`, `"a"`, true},
		{`W/"a"`, `"a"`, true},
		{`"a"`, `W/"a"`, true},
		{`"b", "a"`, `"a"`, true},
		{`"b","a"`, `"a"`, true},
		{`"b" , W/"a" `, `"a"`, true},
		{`"x,\"y", "a"`, `"a"`, false}, // an entity tag has no escapes: y is malformed, and what follows unknown
		{`"x,y", "a"`, `"a"`, true},
		{`*`, `"a"`, true},
		{` * `, `"a"`, true},
		{`a`, `"a"`, false}, // what the 2019 server compared
		{`"A"`, `"a"`, false},
		{`"a`, `"a"`, false},
		{`"ab"`, `"a"`, false},
		{``, `"a"`, false},
		{`w/"a"`, `"a"`, false},
	} {
		if got := etagMatches([]string{tt.header}, tt.etag); got != tt.want {
			t.Errorf("If-None-Match: %s with ETag: %s: %v", tt.header, tt.etag, got)
		}
	}
	if etagMatches(nil, `"a"`) {
		t.Error("no If-None-Match matches")
	}
}

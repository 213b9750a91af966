package api

import (
	"strings"

	"github.com/comntr/comntr"
)

// mediaRange is one entry of an Accept header (RFC 9110, section 12.5.1), or
// of Accept-Encoding, whose entries have no sub.
type mediaRange struct {
	typ, sub string // lower-case; "*" for any
	params   []param
	q        int // 0 to 1000
}

type param struct{ name, value string } // both lower-case

// get returns the value of the parameter of that name.
func (m *mediaRange) get(name string) (string, bool) {
	for _, p := range m.params {
		if p.name == name {
			return p.value, true
		}
	}
	return "", false
}

// parseAccept reads the values of an Accept header. Entries that break the
// grammar are left out, as if they had not been sent.
func parseAccept(values []string) []mediaRange {
	var out []mediaRange
	for _, v := range values {
		for v != "" {
			var entry string
			entry, v = cutUnquoted(v, ',')
			if m, ok := parseRange(entry); ok {
				out = append(out, m)
			}
		}
	}
	return out
}

func parseRange(s string) (m mediaRange, ok bool) {
	name, rest := cutUnquoted(s, ';')
	name = strings.ToLower(trim(name))
	var slash bool
	m.typ, m.sub, slash = strings.Cut(name, "/")
	if !token(m.typ) || slash && !token(m.sub) || slash && m.typ == "*" && m.sub != "*" {
		return m, false
	}
	m.q = 1000
	for rest != "" {
		var p string
		p, rest = cutUnquoted(rest, ';')
		if p = trim(p); p == "" {
			continue
		}
		k, v, _ := strings.Cut(p, "=")
		k, v = strings.ToLower(trim(k)), strings.ToLower(strings.Trim(trim(v), `"`))
		if !token(k) {
			return m, false
		}
		if k == "q" {
			if m.q, ok = parseQ(v); !ok {
				return m, false
			}
			continue
		}
		m.params = append(m.params, param{k, v})
	}
	return m, true
}

// parseQ reads a weight: 0 or 1 and at most three decimals, in thousandths.
func parseQ(s string) (int, bool) {
	if s == "" || len(s) > 5 || s[0] != '0' && s[0] != '1' || len(s) > 1 && s[1] != '.' {
		return 0, false
	}
	q := int(s[0]-'0') * 1000
	weight := 100
	for i := 2; i < len(s); i++ {
		if s[i] < '0' || s[i] > '9' {
			return 0, false
		}
		q += int(s[i]-'0') * weight
		weight /= 10
	}
	return q, q <= 1000
}

// cutUnquoted cuts s at the first sep outside of a quoted string.
func cutUnquoted(s string, sep byte) (before, after string) {
	quoted := false
	for i := 0; i < len(s); i++ {
		switch {
		case s[i] == '"':
			quoted = !quoted
		case quoted && s[i] == '\\':
			i++
		case !quoted && s[i] == sep:
			return s[:i], s[i+1:]
		}
	}
	return s, ""
}

func trim(s string) string { return strings.Trim(s, " \t") }

// token reports whether s is a token of RFC 9110, section 5.6.2.
func token(s string) bool {
	if s == "" {
		return false
	}
	for i := range len(s) {
		c := s[i]
		alnum := c >= '0' && c <= '9' || c >= 'a' && c <= 'z' || c >= 'A' && c <= 'Z'
		if !alnum && !strings.ContainsRune("!#$%&'*+-.^_`|~", rune(c)) {
			return false
		}
	}
	return true
}

// The media types that are negotiated.
const (
	typeText = "text/plain"
	typeHTML = "text/html"
	typeCAR  = comntr.CARType
	typeRaw  = "application/vnd.ipld.raw"
)

// negotiate returns the offer that the ranges like best; ok is false where
// they take none. Without ranges it is the first offer. Of offers with one
// weight the one named more exactly wins, then the earlier: so a browser, which
// writes text/html before */*, gets the page and curl gets the id.
//
// named is the range that matched, nil for a missing Accept; a wildcard's typ
// or sub is "*".
func negotiate(ranges []mediaRange, offers ...string) (offer string, named *mediaRange, ok bool) {
	if len(ranges) == 0 {
		return offers[0], nil, true
	}
	bestQ, bestExact := 0, 0
	for _, o := range offers {
		m, exact := match(ranges, o)
		if m == nil || m.q == 0 {
			continue
		}
		if m.q > bestQ || m.q == bestQ && exact > bestExact {
			offer, named, bestQ, bestExact = o, m, m.q, exact
		}
	}
	return offer, named, named != nil
}

// match returns the most exact range that covers the offer, and how exact it
// is: 3 for the type itself, 2 for type/*, 1 for */*.
func match(ranges []mediaRange, offer string) (best *mediaRange, exact int) {
	typ, sub, _ := strings.Cut(offer, "/")
	for i := range ranges {
		m := &ranges[i]
		e := 0
		switch {
		case m.typ == typ && m.sub == sub:
			e = 3
		case m.typ == typ && m.sub == "*":
			e = 2
		case m.typ == "*" && m.sub == "*":
			e = 1
		}
		if e == 0 || offer == typeCAR && !carParams(m) {
			continue
		}
		if e > exact || e == exact && m.q > best.q {
			best, exact = m, e
		}
	}
	return best, exact
}

// carParams reports whether the CARs written here are what the range's
// parameters ask for (IPIP-412): version 1, depth first. Both values of dups
// are met, because no block stands twice in a topic's folder.
func carParams(m *mediaRange) bool {
	version, ok := m.get("version")
	if ok && version != "1" {
		return false
	}
	order, ok := m.get("order")
	if ok && order != "dfs" && order != "unk" {
		return false
	}
	dups, ok := m.get("dups")
	return !ok || dups == "y" || dups == "n"
}

// takesGzip reports whether Accept-Encoding's values take gzip.
func takesGzip(values []string) bool {
	best, exact := 0, false
	for _, m := range parseAccept(values) {
		if m.sub != "" {
			continue
		}
		switch {
		case m.typ == "gzip" || m.typ == "x-gzip":
			best, exact = m.q, true
		case m.typ == "*" && !exact:
			best = m.q
		}
	}
	return best > 0
}

// etagMatches reports whether If-None-Match's values name the entity tag, by
// weak comparison (RFC 9110, section 13.1.2). etag is as in the ETag header.
func etagMatches(values []string, etag string) bool {
	etag = strings.TrimPrefix(etag, "W/")
	for _, v := range values {
		if trim(v) == "*" {
			return true
		}
		for {
			v = strings.TrimLeft(v, " \t,")
			v = strings.TrimPrefix(v, "W/")
			if !strings.HasPrefix(v, `"`) {
				break
			}
			end := strings.IndexByte(v[1:], '"')
			if end < 0 {
				break
			}
			if v[:end+2] == etag {
				return true
			}
			v = v[end+2:]
		}
	}
	return false
}

package comntr

import (
	"slices"
	"strconv"
	"strings"
	"unicode/utf8"

	"golang.org/x/net/idna"
)

// CleanName writes a topic's name that is the URL of a page as everyone who
// means that page writes it, so that its readers meet in one topic (SPEC.md,
// "Names that are URLs"). A name that is no http or https URL stays as it is,
// and so does what is cleaned already: CleanName(CleanName(s)) = CleanName(s).
//
// NameHash does not clean: a name's hash is that of its bytes. Whoever turns
// what a person typed or a page's address into a topic cleans it first.
func CleanName(s string) string {
	scheme, rest, ok := strings.Cut(s, "://")
	scheme = asciiLower(scheme)
	if !ok || scheme != "http" && scheme != "https" || !urlText(rest) {
		return s
	}
	rest, _, _ = strings.Cut(rest, "#")
	authority, path := rest, ""
	if i := strings.IndexAny(rest, "/?"); i >= 0 {
		authority, path = rest[:i], rest[i:]
	}
	authority, ok = cleanAuthority(scheme, authority)
	if !ok {
		return s
	}
	path, query, _ := strings.Cut(path, "?")
	path = strings.TrimRight(removeDots(cleanPercent(path)), "/")
	out := scheme + "://" + authority + path
	if query = cleanQuery(query); query != "" {
		out += "?" + query
	}
	return out
}

// urlText reports whether s can be a part of a URL as people write it: UTF-8
// without white space, control characters or backslashes.
func urlText(s string) bool {
	for i := range len(s) {
		if s[i] <= ' ' || s[i] == 0x7f || s[i] == '\\' {
			return false
		}
	}
	return utf8.ValidString(s)
}

// cleanAuthority is host[:port] in lower case, in ASCII, without a port that
// the scheme implies. There is none with a user in it: such a URL is somebody's
// own, and no name for others to meet under.
func cleanAuthority(scheme, s string) (string, bool) {
	host, port := s, ""
	if i := strings.LastIndexByte(s, ':'); i >= 0 && !strings.HasSuffix(s, "]") {
		host, port = s[:i], s[i+1:]
		// A port of nothing, as in "host:", is the default one.
		if port != "" {
			n, err := strconv.ParseUint(port, 10, 16)
			if err != nil {
				return "", false
			}
			port = strconv.FormatUint(n, 10)
		}
	}
	if port == (map[string]string{"http": "80", "https": "443"})[scheme] {
		port = ""
	}
	host = asciiLower(host)
	if inner, ok := strings.CutPrefix(host, "["); ok {
		if inner, ok = strings.CutSuffix(inner, "]"); !ok || !only(inner, "0123456789abcdef:.") {
			return "", false
		}
	} else {
		if !ascii(host) {
			// As browsers do it (UTS 46, nontransitional), so that a name typed
			// in letters is the one that a page's address gives. They also take
			// what ends in a number for an IPv4 address, and libraries differ
			// about a host in letters and in xn-- at once, and about a few
			// letters: those stay.
			if strings.Contains(host, "xn--") || strings.ContainsAny(host, disputed) {
				return "", false
			}
			p := idna.New(idna.MapForLookup(), idna.BidiRule(), idna.CheckJoiners(true), idna.CheckHyphens(false),
				idna.StrictDomainName(false), idna.VerifyDNSLength(false), idna.Transitional(false))
			var err error
			if host, err = p.ToASCII(host); err != nil {
				return "", false
			}
			labels := strings.Split(strings.TrimRight(host, "."), ".")
			if last := labels[len(labels)-1]; last != "" && only(last[:1], "0123456789") {
				return "", false
			}
		}
		if !only(host, "abcdefghijklmnopqrstuvwxyz0123456789-._") {
			return "", false
		}
	}
	if host == "" {
		return "", false
	}
	if port != "" {
		host += ":" + port
	}
	return host, true
}

// disputed are letters that versions of UTS 46 map differently: the capital
// sharp s, and the letterlike Hebrew ones.
const disputed = "\u1e9e\u2135\u2136\u2137\u2138"

// trackers are the parameters that say where a reader came from and not what
// he reads, besides those that begin with utm_. The list is a part of the
// protocol: another list makes other topics.
var trackers = []string{
	"__hsfp", "__hssc", "__hstc", "_ga", "_gl", "_hsenc", "_hsmi", "_openstat", "dclid", "epik", "fbclid", "gbraid", "gclid",
	"gclsrc", "hsctatracking", "igsh", "igshid", "li_fat_id", "mc_cid", "mc_eid", "mkt_tok", "msclkid", "oly_anon_id", "oly_enc_id",
	"rb_clickid", "ref_src", "ref_url", "ttclid", "twclid", "vero_conv", "vero_id", "wbraid", "wt_mc", "yclid", "ysclid",
}

// cleanQuery drops parameters that track, and empty ones, and sorts the rest
// by their names; those of one name keep their order, which may mean something.
func cleanQuery(s string) string {
	params := strings.Split(cleanPercent(s), "&")
	name := func(p string) string { n, _, _ := strings.Cut(p, "="); return n }
	params = slices.DeleteFunc(params, func(p string) bool {
		n := asciiLower(name(p))
		return p == "" || strings.HasPrefix(n, "utm_") || slices.Contains(trackers, n)
	})
	slices.SortStableFunc(params, func(a, b string) int { return strings.Compare(name(a), name(b)) })
	return strings.Join(params, "&")
}

const (
	unreserved = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-._~"
	// asIs are the other bytes that stand for themselves in a path or a query,
	// and mean something else when they are escaped.
	asIs = "!$&()*+,;=:@/?"
)

// cleanPercent gives each byte one spelling: unreserved ones are never
// escaped (RFC 3986, 6.2.2), asIs ones are as they were, all others are
// always escaped, in upper-case digits.
func cleanPercent(s string) string {
	const digits = "0123456789ABCDEF"
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		c := s[i]
		if c == '%' && i+2 < len(s) {
			if n, err := strconv.ParseUint(s[i+1:i+3], 16, 8); err == nil {
				if strings.IndexByte(unreserved, byte(n)) >= 0 {
					b.WriteByte(byte(n))
				} else {
					b.Write([]byte{'%', digits[n>>4], digits[n&15]})
				}
				i += 2
				continue
			}
		}
		if strings.IndexByte(unreserved, c) >= 0 || strings.IndexByte(asIs, c) >= 0 {
			b.WriteByte(c)
		} else {
			b.Write([]byte{'%', digits[c>>4], digits[c&15]})
		}
	}
	return b.String()
}

// removeDots takes the segments . and .. out of an absolute path, as RFC 3986,
// 5.2.4, does.
func removeDots(path string) string {
	if path == "" {
		return ""
	}
	var out []string
	segments := strings.Split(path[1:], "/")
	for i, seg := range segments {
		last := i == len(segments)-1
		switch {
		case seg != "." && seg != "..":
			out = append(out, seg)
			continue
		case seg == ".." && len(out) > 0:
			out = out[:len(out)-1]
		}
		if last {
			out = append(out, "") // the path ends with a slash
		}
	}
	return "/" + strings.Join(out, "/")
}

func asciiLower(s string) string {
	return strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' {
			return r + 'a' - 'A'
		}
		return r
	}, s)
}

func ascii(s string) bool {
	for i := range len(s) {
		if s[i] >= utf8.RuneSelf {
			return false
		}
	}
	return true
}

// only reports whether s has no bytes but those of set.
func only(s, set string) bool { return strings.Trim(s, set) == "" }

package comntr_test

import (
	"strings"
	"testing"

	"github.com/comntr/comntr"
)

// nameVector is one case of names.json.
type nameVector struct {
	Why   string `json:"why"`
	Name  string `json:"name"`
	Clean string `json:"clean"`
	Topic string `json:"topic"`
}

// nameCases are names and what they are cleaned to; why that is.
var nameCases = []struct{ why, name, clean string }{
	{"the seed's topic is no URL", "/r/news", "/r/news"},
	{"a word", "reddit", "reddit"},
	{"the empty name", "", ""},
	{"a hash", "84d5fcc43a5a888643930cfa216833309b3dd96c", "84d5fcc43a5a888643930cfa216833309b3dd96c"},
	{"a host without a scheme", "Example.org/", "Example.org/"},
	{"another scheme", "FTP://Example.org/a/", "FTP://Example.org/a/"},
	{"another scheme that begins alike", "httpx://Example.org/", "httpx://Example.org/"},
	{"a URL inside of text", "see https://Example.org/", "see https://Example.org/"},
	{"white space: text, not a URL", "https://Example.org/ is down", "https://Example.org/ is down"},
	{"white space after", "https://Example.org/\n", "https://Example.org/\n"},
	{"a no-break space is not white space, but a byte to escape", "https://example.org/a\u00a0b", "https://example.org/a%C2%A0b"},
	{"a backslash: browsers read it in another way than programs", "https://Example.org\\a/", "https://Example.org\\a/"},
	{"a control character", "https://Example.org/\u007f", "https://Example.org/\u007f"},
	{"no host", "https:///a/", "https:///a/"},
	{"no host but a port", "https://:443/", "https://:443/"},
	{"one slash", "https:/Example.org/", "https:/Example.org/"},

	{"clean already", "https://example.org/a?b=c", "https://example.org/a?b=c"},
	{"scheme and host in lower case, the path not", "HTTPS://Example.ORG/Wiki", "https://example.org/Wiki"},
	{"http and https are two", "http://example.org", "http://example.org"},
	{"no trailing slash at the root", "https://example.org/", "https://example.org"},
	{"no trailing slash", "https://example.org/a/", "https://example.org/a"},
	{"no trailing slashes", "https://example.org/a//", "https://example.org/a"},
	{"no trailing slash before a query", "https://example.org/a/?b=c", "https://example.org/a?b=c"},
	{"no trailing slash at the root before a query", "https://example.org/?b=c", "https://example.org?b=c"},
	{"slashes within stay", "https://example.org//a//b", "https://example.org//a//b"},
	{"a slash in a query stays", "https://example.org/a?b=c/", "https://example.org/a?b=c/"},
	{"no fragment", "https://example.org/a#top", "https://example.org/a"},
	{"no fragment that looks like a query", "https://example.org/a#x?b=c", "https://example.org/a"},
	{"no fragment right behind the host", "https://example.org#/a/b", "https://example.org"},
	{"no empty fragment", "https://example.org/a#", "https://example.org/a"},

	{"the default port of https", "https://example.org:443/a", "https://example.org/a"},
	{"the default port of http", "http://example.org:80/a", "http://example.org/a"},
	{"another's default port", "http://example.org:443/a", "http://example.org:443/a"},
	{"another port", "https://example.org:8443/", "https://example.org:8443"},
	{"an empty port", "https://example.org:/a", "https://example.org/a"},
	{"a port with a zero before", "https://example.org:0443/a", "https://example.org/a"},
	{"no port", "https://Example.org:65536/", "https://Example.org:65536/"},
	{"no port either", "https://Example.org:+80/", "https://Example.org:+80/"},
	{"a user: somebody's own", "https://alice@Example.org/", "https://alice@Example.org/"},
	{"a user and a password", "https://alice:secret@Example.org/", "https://alice:secret@Example.org/"},
	{"an @ in the path is none", "https://Example.org/@alice/", "https://example.org/@alice"},
	{"an address", "http://127.0.0.1:8080/a/", "http://127.0.0.1:8080/a"},
	{"an IPv6 address", "http://[2001:DB8::1]:80/a/", "http://[2001:db8::1]/a"},
	{"an IPv6 address without a port", "http://[2001:DB8::1]", "http://[2001:db8::1]"},
	{"an IPv6 address that is cut", "http://[2001:DB8::1/", "http://[2001:DB8::1/"},
	{"an escape in the host", "https://Ex%61mple.org/", "https://Ex%61mple.org/"},
	{"an underscore in the host", "https://My_Site.example.org/", "https://my_site.example.org"},
	{"a dot after the host stays", "https://example.org./a", "https://example.org./a"},
	{"a host of letters", "https://Bücher.example/a", "https://xn--bcher-kva.example/a"},
	{"a host of letters, as browsers give it", "https://xn--bcher-kva.example/a", "https://xn--bcher-kva.example/a"},
	{"sharp s, nontransitional", "https://faß.de/", "https://xn--fa-hia.de"},
	{"Cyrillic with a port", "https://Пример.рф:443/", "https://xn--e1afmkfd.xn--p1ai"},
	{"full-width letters are letters", "https://ｅｘａｍｐｌｅ.org/", "https://example.org"},
	{"a full-width slash is no host's", "https://example.org\uff0fa", "https://example.org\uff0fa"},
	{"a host of letters that ends in a number: an address to browsers", "https://käse.1/", "https://käse.1/"},
	{"full-width digits: an address to browsers", "https://１２７.1/", "https://１２７.1/"},
	{"letters and xn-- at once", "https://käse.xn--p1ai/", "https://käse.xn--p1ai/"},
	{"a host of letters that may not be one", "https://\u0300a.example/", "https://\u0300a.example/"},

	{"an escape in lower case", "https://example.org/a%2fb", "https://example.org/a%2Fb"},
	{"an escape of what needs none", "https://example.org/%41%7e%2D", "https://example.org/A~-"},
	{"a reserved byte escaped stays so", "https://example.org/a%3Fb%26c", "https://example.org/a%3Fb%26c"},
	{"a reserved byte in clear stays so", "https://example.org/a&b;c=(d)!$*+,:@", "https://example.org/a&b;c=(d)!$*+,:@"},
	{"letters in the path, as browsers give them", "https://de.wikipedia.org/wiki/Käse", "https://de.wikipedia.org/wiki/K%C3%A4se"},
	{"a byte to escape", "https://example.org/a|b^c'd\"e", "https://example.org/a%7Cb%5Ec%27d%22e"},
	{"a percent sign alone", "https://example.org/100%", "https://example.org/100%25"},
	{"a percent sign and no digits", "https://example.org/%zz%4", "https://example.org/%25zz%254"},
	{"no second round", "https://example.org/%%34%31", "https://example.org/%2541"},
	{"an escaped percent sign", "https://example.org/%2541", "https://example.org/%2541"},
	{"signs are no hex digits", "https://example.org/%+1%-2", "https://example.org/%25+1%25-2"},
	{"dots", "https://example.org/a/./b/../c", "https://example.org/a/c"},
	{"dots at the end", "https://example.org/a/b/..", "https://example.org/a"},
	{"a dot at the end", "https://example.org/a/.", "https://example.org/a"},
	{"dots above the root", "https://example.org/../../a", "https://example.org/a"},
	{"escaped dots", "https://example.org/a/%2e%2E/b", "https://example.org/b"},
	{"three dots are a name", "https://example.org/...", "https://example.org/..."},

	{"a sorted query", "https://example.org/?b=2&a=1", "https://example.org?a=1&b=2"},
	{"one name twice keeps its order", "https://example.org/?b=2&a=2&b=1&a=1", "https://example.org?a=2&a=1&b=2&b=1"},
	{"by names alone, byte by byte", "https://example.org/?a-=1&a=2&B=3&b=4&a[]=5", "https://example.org?B=3&a=2&a%5B%5D=5&a-=1&b=4"},
	{"a name without a value", "https://example.org/?b&a=&a", "https://example.org?a=&a&b"},
	{"a plus stays", "https://example.org/?q=a+b", "https://example.org?q=a+b"},
	{"an empty query", "https://example.org/a?", "https://example.org/a"},
	{"empty parameters", "https://example.org/a?&&b=1&", "https://example.org/a?b=1"},
	{"a query without a path", "https://example.org?b=1&a=2", "https://example.org?a=2&b=1"},
	{"a second question mark", "https://example.org/?a=b?c", "https://example.org?a=b?c"},
	{"an = in a value", "https://example.org/?b=c=d", "https://example.org?b=c=d"},
	{"no tracking at all", "https://example.org/a?utm_source=x&utm_medium=y&fbclid=z", "https://example.org/a"},
	{"tracking among others", "https://example.org/a?id=7&UTM_Campaign=x&gclid=y&page=2", "https://example.org/a?id=7&page=2"},
	{"tracking, escaped", "https://example.org/a?%75tm_source=x", "https://example.org/a"},
	{"tracking without a value", "https://example.org/a?fbclid", "https://example.org/a"},
	{"only whole names", "https://example.org/a?my_utm_source=1&gclid2=2&utm=3", "https://example.org/a?gclid2=2&my_utm_source=1&utm=3"},
	{"the whole list", "https://example.org/?" + strings.ReplaceAll("__hsfp __hssc __hstc _ga _gl _hsenc _hsmi _openstat dclid epik fbclid gbraid gclid gclsrc "+
		"hsCtaTracking igsh igshid li_fat_id mc_cid mc_eid mkt_tok msclkid oly_anon_id oly_enc_id rb_clickid ref_src ref_url ttclid twclid utm_ utm_content "+
		"vero_conv vero_id wbraid wt_mc yclid ysclid z", " ", "=1&"), "https://example.org?z"},
	{"a letter that versions of UTS 46 map differently", "https://stra\u1e9ee.example/", "https://stra\u1e9ee.example/"},
	{"another such letter", "https://\u2135.example/a?b#c", "https://\u2135.example/a?b#c"},
}

func TestNameVectors(t *testing.T) {
	v := struct {
		Rule  string       `json:"rule"`
		Cases []nameVector `json:"cases"`
	}{Rule: "clean is what a program that is given name uses for the topic's name; topic is its SHA-1."}
	for _, c := range nameCases {
		t.Run(c.why, func(t *testing.T) {
			if got := comntr.CleanName(c.name); got != c.clean {
				t.Errorf("%q is cleaned to %q, want %q", c.name, got, c.clean)
			}
			if again := comntr.CleanName(c.clean); again != c.clean {
				t.Errorf("%q is cleaned again, to %q", c.clean, again)
			}
		})
		v.Cases = append(v.Cases, nameVector{c.why, c.name, c.clean, comntr.NameHash(c.clean).String()})
	}
	if got := comntr.CleanName("https://Example.org/\xff"); got != "https://Example.org/\xff" {
		t.Errorf("a name that is not UTF-8 became %q", got)
	}
	if !t.Failed() {
		checkVectors(t, "names.json", v)
	}
}

// FuzzCleanName: cleaning again changes nothing, and what is cleaned is a
// header's value if the name was text: Name: can say it.
func FuzzCleanName(f *testing.F) {
	for _, c := range nameCases {
		f.Add(c.name)
	}
	f.Fuzz(func(t *testing.T, s string) {
		clean := comntr.CleanName(s)
		if again := comntr.CleanName(clean); again != clean {
			t.Fatalf("%q is cleaned to %q, and that to %q", s, clean, again)
		}
		if clean == s {
			return
		}
		if !strings.HasPrefix(clean, "http://") && !strings.HasPrefix(clean, "https://") {
			t.Fatalf("%q is cleaned to %q", s, clean)
		}
		for i := range len(clean) {
			if clean[i] <= ' ' || clean[i] >= 0x7f || clean[i] == '#' {
				t.Fatalf("%q is cleaned to %q", s, clean)
			}
		}
	})
}

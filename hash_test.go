package comntr_test

import (
	"encoding/hex"
	"encoding/json"
	"strings"
	"testing"

	"github.com/comntr/comntr"
)

func TestParseHash(t *testing.T) {
	const good = "84d5fcc43a5a888643930cfa216833309b3dd96c" // the seed's sha1("/r/news")
	h, err := comntr.ParseHash(good)
	if err != nil || h != comntr.NameHash("/r/news") || h.String() != good {
		t.Errorf("%s: %v, %v", good, h, err)
	}
	for _, s := range []string{
		"", good[1:], good + "0", strings.ToUpper(good), good[:39] + "g", good[:39] + "/", good[:39] + ":", good[:39] + "`",
		" " + good[1:], good[:39] + "\n", "0x" + good[2:], strings.Repeat("\u0665", 20), strings.Repeat("0", 1<<16), "../" + good[3:],
	} {
		if _, err := comntr.ParseHash(s); err == nil {
			t.Errorf("%q is taken", s)
		} else if len(err.Error()) > 300 {
			t.Errorf("an error of %d bytes", len(err.Error()))
		}
	}
	if comntr.HashOrName(good) != h || comntr.HashOrName("/r/news") != h {
		t.Error("a name and its hash are not the same topic")
	}
	if up := strings.ToUpper(good); comntr.HashOrName(up) != comntr.NameHash(up) {
		t.Error("upper case hex is a name")
	}
	if hex.EncodeToString(h[:]) != good {
		t.Error("a hash is not its bytes")
	}
}

// Hashes travel in JSON as their 40 digits, and only so.
func TestHashJSON(t *testing.T) {
	b := must(json.Marshal(news.Topic))
	if string(b) != `"`+news.Topic.String()+`"` {
		t.Errorf("%s", b)
	}
	var h comntr.Hash
	if err := json.Unmarshal(b, &h); err != nil || h != news.Topic {
		t.Errorf("%s, %v", h, err)
	}
	for _, bad := range []string{`"` + strings.ToUpper(news.Topic.String()) + `"`, `""`, `5`, `[1]`} {
		if json.Unmarshal([]byte(bad), &h) == nil {
			t.Errorf("%s is taken", bad)
		}
	}
}

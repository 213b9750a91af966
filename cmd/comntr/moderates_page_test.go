package main

import (
	"cmp"
	"context"
	"crypto/ed25519"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"testing"
	"time"

	"github.com/comntr/comntr"
)

// saysAt posts a signed comment to pageTopic at several servers.
func (a author) saysAt(text string, servers ...*server) error {
	d := comntr.Draft{Place: pagePlace, Date: time.Now(), User: a.name, Name: pageTopic, Body: []byte(text)}
	doc, err := d.Sign(a.key)
	if err != nil {
		return err
	}
	for _, s := range servers {
		if _, _, err := s.client.Post(context.Background(), pagePlace, doc.Bytes()); err != nil {
			return err
		}
	}
	return nil
}

// listLink is a link of a list's page, as people share it.
var listLink = regexp.MustCompile(`#list/[^/]+/([0-9a-f]{64})/(.+)$`)

// linkedList is the id of the list that a link names.
func linkedList(link string) (string, error) {
	m := listLink.FindStringSubmatch(link)
	if m == nil {
		return "", fmt.Errorf("%q is no link of a list", link)
	}
	key, err := hex.DecodeString(m[1])
	if err != nil {
		return "", err
	}
	tag, err := url.PathUnescape(m[2])
	return comntr.ListTopic([ed25519.PublicKeySize]byte(key), tag).String(), err
}

// filtered is what comntr get marks of pageTopic, read with a list: the texts of
// what it hides, pins and locks.
func (s *server) filtered(list string) (string, error) {
	out, stderr, code := output(s.t, "", "get", pageTopic, "--json", "--show-hidden", "--filter", list, "--server", s.http, "--allow-private")
	if code != 0 {
		return "", fmt.Errorf("get exits with %d: %s", code, stderr)
	}
	var got struct {
		Thread struct {
			Comments []struct {
				Body                   string
				Hidden, Pinned, Locked []string
			}
		}
	}
	if err := json.Unmarshal([]byte(out), &got); err != nil {
		return "", err
	}
	marks := map[string][]string{"hidden": {}, "pinned": {}, "locked": {}}
	for _, c := range got.Thread.Comments {
		for mark, by := range map[string][]string{"hidden": c.Hidden, "pinned": c.Pinned, "locked": c.Locked} {
			if len(by) > 0 {
				marks[mark] = append(marks[mark], c.Body)
			}
		}
	}
	for _, texts := range marks {
		slices.SortFunc(texts, cmp.Compare[string])
	}
	b, err := json.Marshal(marks)
	return string(b), err
}

// TestE2EPageModerates: a moderator makes a list in the page, hides, pins, locks,
// bans, and delegates to another one; a reader follows the list by its link,
// and sees what it says also when one of the two servers is gone, as the command
// line does; all of it is undone, by hand and by the desk's keys.
func TestE2EPageModerates(t *testing.T) {
	needsPage(t)
	a := serve(t, t.TempDir(), "--webtransport-listen", "none")
	b := serve(t, t.TempDir(), "--webtransport-listen", "none")
	for name, text := range map[string]string{
		"Cat": "Worth reading.", "Eve": "Buy things.", "Moe": "Read me first.", "Nil": "From a nuisance.", "Dan": "Only Bea minds this.",
	} {
		if err := newAuthor(t, name).saysAt(text, a, b); err != nil {
			t.Fatal(err)
		}
	}
	said := 0
	play(t, "moderates.mjs", "moderates", facts{"site": site(t, httptest.NewServer, []string{a.http, b.http}, nil), "a": a.http, "b": b.http}, acts{
		"list": linkedList,
		"get":  b.filtered,
		"stop": func(string) (string, error) { a.kill(); return "", nil },
		// So many comments more, each by an author of its own.
		"say": func(text string) (string, error) {
			n, err := strconv.Atoi(text)
			for range n {
				said++
				name := fmt.Sprintf("Bulk %d", said)
				if err := newAuthor(t, name).saysAt(name+".", b); err != nil {
					return "", err
				}
			}
			return "", err
		},
	})
}

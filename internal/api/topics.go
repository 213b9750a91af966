package api

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/store"
)

// Bounds of lists of topics.
const (
	// maxActive is how many topics GET /topics names.
	maxActive = 200
	// listsFresh is how long the list of active topics is given out: sorting
	// all topics for each asker would be a cheap way to keep a server busy.
	listsFresh = time.Second
	// maxCounted lines are taken by POST /counts; each may be a prefix, and at
	// most maxCounts topics are answered.
	maxCounted    = 512
	maxCounts     = 4096
	maxCountsBody = maxCounted * 41
	// minPrefix hex digits of a topic must be told: fewer would ask for all.
	minPrefix = 4
)

// Topics lists topics; *store.Store does.
type Topics interface {
	Active(n int, now time.Time) []store.Topic
	WithPrefix(prefix string, n int) []store.Topic
}

type topicJSON struct {
	Topic    comntr.Hash `json:"topic"`
	Name     string      `json:"name,omitempty"`
	Comments int         `json:"comments"`
	Last     string      `json:"last,omitempty"`
}

func topicsJSON(member string, topics []store.Topic) ([]byte, error) {
	list := make([]topicJSON, 0, len(topics))
	for _, t := range topics {
		j := topicJSON{Topic: t.ID, Name: t.Name, Comments: t.Comments}
		if !t.Last.IsZero() {
			j.Last = t.Last.Format(comntr.DateFormat)
		}
		list = append(list, j)
	}
	b, err := json.Marshal(map[string][]topicJSON{member: list})
	return append(b, '\n'), err
}

// activeList is a community's last list of active topics.
type activeList struct {
	made time.Time
	body []byte
	etag string
}

// active answers with the topics that have the latest comments, of those whose
// name a document says.
func (a *API) active(w *answer, r *http.Request, rt route) error {
	w.Header().Set("Cache-Control", cacheIDs)
	a.activeMu.Lock()
	list := a.actives[rt.community]
	if now := time.Now(); now.Sub(list.made) >= listsFresh {
		body, err := topicsJSON("topics", a.held[rt.community].Store.Active(maxActive, now))
		if err != nil {
			a.activeMu.Unlock()
			return fmt.Errorf("write the list of topics: %w", err)
		}
		list = activeList{made: now, body: body, etag: `"` + comntr.SumHash(body).String() + `"`}
		a.actives[rt.community] = list
	}
	a.activeMu.Unlock()
	addr := clientAddr(r.RemoteAddr)
	if err := a.mayMove(addr); err != nil {
		return err
	}
	if notModified(w, r, list.etag) {
		return nil
	}
	a.limits.spend(addr, len(list.body))
	writeBody(w, r, http.StatusOK, "application/json", list.body)
	return nil
}

// counts answers with how many comments topics have. A line of the body is a
// topic or the beginning of one: then all that begin so are counted, and the
// server does not learn which of them is being read.
func (a *API) counts(w *answer, r *http.Request, rt route) error {
	body, err := a.readBody(w, r, maxCountsBody)
	if err != nil {
		return err
	}
	topics := []store.Topic{}
	seen := make(map[comntr.Hash]bool)
	n := 0
	for line := range strings.Lines(string(body)) {
		line = strings.TrimSuffix(strings.TrimSuffix(line, "\n"), "\r")
		if n++; n > maxCounted {
			return problem(http.StatusBadRequest, comntr.CodeBadRequest, "the body has more than %d lines: ask in several requests", maxCounted)
		}
		if len(line) < minPrefix || len(line) > 40 || strings.Trim(line, "0123456789abcdef") != "" {
			return problem(http.StatusBadRequest, comntr.CodeBadRequest,
				"line %d of the body, %q, is no topic, nor the beginning of one: send %d to 40 lower-case hex digits a line", n, clip(line, 60), minPrefix)
		}
		for _, t := range a.held[rt.community].Store.WithPrefix(line, maxCounts-len(topics)) {
			if !seen[t.ID] {
				seen[t.ID] = true
				topics = append(topics, store.Topic{ID: t.ID, Comments: t.Comments})
			}
		}
	}
	if n == 0 {
		return problem(http.StatusBadRequest, comntr.CodeBadRequest, "the body is empty: send topics, or beginnings of them, one a line")
	}
	answer, err := topicsJSON("counts", topics)
	if err != nil {
		return fmt.Errorf("write counts: %w", err)
	}
	a.limits.spend(clientAddr(r.RemoteAddr), len(answer)+n*lookupCost)
	w.Header().Set("Cache-Control", "no-store")
	writeBody(w, r, http.StatusOK, "application/json", answer)
	return nil
}

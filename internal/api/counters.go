package api

import (
	"net/http"
	"sync/atomic"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/measure"
)

// Counters are what an API answered since it was made, and what is under way
// now. They are for who watches a server; nothing is decided by them.
type Counters struct {
	Routes   []RouteCounters // each there is, always in the same order
	Refusals []RefusalCounter
	// PostsNew and PostsKnown are comments that were taken, and those of them
	// that were here before.
	PostsNew, PostsKnown uint64
	// Received and Sent are bytes of bodies; Sent as they are on the wire.
	Received, Sent uint64
	// What is open now.
	Connections, Sessions, Listeners, CARs int
}

// RouteCounters are those of one kind of path.
type RouteCounters struct {
	Route string
	// Answers by the first digit of their status, 1 to 5. An answer counts when
	// it has ended.
	Answers [5]uint64
	// Time is in nanoseconds, nil for what stays open as long as it is wanted.
	Time *measure.Snapshot
}

// RefusalCounter counts problem documents of one code.
type RefusalCounter struct {
	Reason        string // comntr.Code...
	Posts, Others uint64
}

// What is counted besides the kinds of paths.
const (
	askedPost    = int(kindAnnounce) + 1 + iota // POST to a topic
	askedUnknown                                // paths of no known form
	askedKinds
)

// routeNames are the words by which these are counted. None comes from a
// request.
var routeNames = [askedKinds]string{
	kindRoot: "root", kindFolder: "folder", kindTopic: "topic", kindComment: "comment", kindEvents: "events", kindTopics: "topics",
	kindCounts: "counts", kindIPFS: "ipfs", kindBlocks: "blocks", kindHello: "hello", kindPage: "page", kindAnnounce: "announce",
	askedPost: "post", askedUnknown: "unknown",
}

// reasons are all codes of problems. TestReasons holds that they are.
var reasons = [...]string{
	comntr.CodeEmpty, comntr.CodeTooLarge, comntr.CodeCollision, comntr.CodeNotUTF8, comntr.CodeNUL, comntr.CodeBadHeader, comntr.CodeWrongTopic,
	comntr.CodeBadSignature, comntr.CodePremature, comntr.CodeWorkNeeded,
	comntr.CodeBadPath, comntr.CodeBadRequest, comntr.CodeNotFound, comntr.CodeMethod, comntr.CodeNotAcceptable, comntr.CodeTimeout,
	comntr.CodeSlotTaken, comntr.CodeGone, comntr.CodeDenied, comntr.CodeUpgrade, comntr.CodeRateLimited, comntr.CodeInternal, comntr.CodeDamaged,
	comntr.CodeStopping, comntr.CodeBusy, comntr.CodeFull,
}

// meter is what an API counts. All of it is atomic: it is on every request's
// path.
type meter struct {
	answers              [askedKinds][5]atomic.Uint64
	times                [askedKinds]*measure.Histogram // nil: not timed
	refusals             [len(reasons)]struct{ posts, others atomic.Uint64 }
	postsNew, postsKnown atomic.Uint64
	received, sent       atomic.Uint64
}

func newMeter() *meter {
	m := &meter{}
	for asked := range m.times {
		if asked != int(kindEvents) && asked != int(kindAnnounce) {
			m.times[asked] = measure.New(measure.Durations()...)
		}
	}
	return m
}

// tally is what the counters want of an answer.
type tally struct {
	asked, status int
	sent          int64 // bytes of the body
}

// ended counts an answer that has ended.
func (m *meter) ended(w *tally, start time.Time) {
	status := w.status
	if status == 0 {
		status = http.StatusOK // as net/http does where none is written
	}
	m.answers[w.asked][min(max(status/100, 1), 5)-1].Add(1)
	m.sent.Add(uint64(w.sent))
	if t := m.times[w.asked]; t != nil {
		t.Since(start)
	}
}

// refused counts a problem document.
func (m *meter) refused(asked int, code string) {
	for i := range reasons { // few; and whoever is refused waits for more than that
		if reasons[i] != code {
			continue
		}
		if asked == askedPost {
			m.refusals[i].posts.Add(1)
		} else {
			m.refusals[i].others.Add(1)
		}
	}
}

func (m *meter) posted(created bool) {
	if created {
		m.postsNew.Add(1)
	} else {
		m.postsKnown.Add(1)
	}
}

// Counters returns what was counted.
func (a *API) Counters() Counters {
	m := a.meter
	c := Counters{
		PostsNew: m.postsNew.Load(), PostsKnown: m.postsKnown.Load(),
		Received: m.received.Load(), Sent: m.sent.Load(),
		Connections: a.conns.count(), Sessions: a.sessions.count(), Listeners: a.listeners.count(), CARs: a.cars.count(),
	}
	for asked, name := range routeNames {
		r := RouteCounters{Route: name}
		for i := range r.Answers {
			r.Answers[i] = m.answers[asked][i].Load()
		}
		if t := m.times[asked]; t != nil {
			s := t.Snapshot()
			r.Time = &s
		}
		c.Routes = append(c.Routes, r)
	}
	for i, reason := range reasons {
		c.Refusals = append(c.Refusals, RefusalCounter{reason, m.refusals[i].posts.Load(), m.refusals[i].others.Load()})
	}
	return c
}

// count is what is under way.
func (g *gauge) count() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.total
}

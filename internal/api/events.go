package api

import (
	"fmt"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/comntr/comntr"
)

// Bounds of /events.
const (
	maxListeners     = 256 // in all
	maxListenersAddr = 16  // of one address
	heartbeat        = 15 * time.Second
	// listenerTime: a listener that does not read for so long is dropped. It
	// can resume.
	listenerTime = 10 * time.Second
	// eventsAtOnce is how many events are taken from the store at once: all
	// that is ever held for a listener.
	eventsAtOnce = 256
	// reconnect is what a listener is told to wait before it connects again.
	reconnect = 3 * time.Second
)

type event struct {
	seq            uint64
	topic, comment comntr.Hash
}

// events streams what is added to a community (HTML Living Standard,
// "Server-sent events"). Nothing is queued for a listener: it has a place in
// the store's own sequence and is given what comes after.
func (a *API) events(w *answer, r *http.Request, rt route) error {
	query, err := parseQuery(r)
	if err != nil {
		return err
	}
	var topic *comntr.Hash
	if query.Has("topic") {
		h, err := comntr.ParseHash(query.Get("topic"))
		if err != nil || len(query["topic"]) > 1 {
			return problem(http.StatusBadRequest, comntr.CodeBadRequest, "?topic= takes one topic, as 40 lower-case hex digits; leave it out for all of the community")
		}
		topic = &h
	}
	h := w.Header()
	h.Set("Content-Type", "text/event-stream")
	h.Set("Cache-Control", "no-store")
	h.Set("X-Accel-Buffering", "no") // proxies must pass events on at once
	if r.Method == http.MethodHead {
		w.WriteHeader(http.StatusOK)
		return nil
	}
	addr := clientAddr(r.RemoteAddr)
	if !a.listeners.enter(addr) {
		return later(reconnect, http.StatusServiceUnavailable, comntr.CodeBusy, "this server has as many listeners as it takes, in all or from your address: ask another server, or again later")
	}
	defer a.listeners.leave(addr)

	if topic != nil {
		a.cfg.Wanted(rt.community, *topic)
	}
	src := a.held[rt.community].Store
	l := &listener{w: w, src: src, epoch: src.Epoch(), since: src.Seq(), topic: topic}
	lastID := r.Header.Get("Last-Event-ID")
	if lastID == "" {
		lastID = query.Get("since")
	}
	w.readBy(time.Time{}) // a GET's body, if any, is nobody's business
	// An event without data is given to nobody, but its id counts: a listener
	// that is cut off before the first event knows where to resume.
	l.printf("retry: %d\n\n", reconnect.Milliseconds())
	if lastID != "" && !l.resume(lastID) {
		l.reset()
	} else {
		l.mark()
	}
	tick := time.NewTicker(heartbeat)
	defer tick.Stop()
	for {
		changed := src.Changed() // before looking, or a change in between would be missed
		l.drain()
		if err := http.NewResponseController(w.ResponseWriter).Flush(); l.err == nil {
			l.err = err
		}
		if l.err != nil {
			return nil // the listener went away or does not read
		}
		select {
		case <-changed:
		case <-tick.C:
			l.printf(": \n")
			l.mark()
		case <-r.Context().Done():
			return nil
		case <-a.stopped:
			return nil
		}
	}
}

// listener is one stream of events.
type listener struct {
	w     *answer
	src   Events
	epoch uint64
	topic *comntr.Hash // nil: all

	since uint64 // all up to here was looked at
	told  uint64 // the sequence number in the last id sent
	begun bool   // an id was sent
	err   error  // the first error of writing
	batch []event
}

func (l *listener) printf(format string, args ...any) {
	if l.err != nil {
		return
	}
	l.w.writeBy(time.Now().Add(listenerTime))
	_, l.err = fmt.Fprintf(l.w, format, args...)
}

// id is the word for a place in the sequence: numbers of another epoch mean
// other comments.
func (l *listener) id(seq uint64) string {
	l.told, l.begun = seq, true
	return fmt.Sprintf("%016x-%d", l.epoch, seq)
}

// mark tells the listener where it is, if it does not know.
func (l *listener) mark() {
	if !l.begun || l.told != l.since {
		l.printf("id: %s\n\n", l.id(l.since))
	}
}

// reset tells the listener that it has missed something that cannot be told
// any more, and goes on from now.
func (l *listener) reset() {
	l.since = l.src.Seq()
	l.printf("id: %s\nevent: reset\ndata: {}\n\n", l.id(l.since))
}

// resume goes on after the event of that id, if it can.
func (l *listener) resume(id string) bool {
	e, s, ok := strings.Cut(id, "-")
	epoch, err := strconv.ParseUint(e, 16, 64)
	seq, err2 := strconv.ParseUint(s, 10, 64)
	if !ok || err != nil || err2 != nil || epoch != l.epoch || seq > l.since {
		return false
	}
	if _, ok := l.src.Events(seq, 1, func(uint64, comntr.Hash, comntr.Hash) {}); !ok {
		return false
	}
	l.since = seq
	return true
}

// drain sends all there is after l.since.
func (l *listener) drain() {
	for l.err == nil {
		l.batch = l.batch[:0]
		next, ok := l.src.Events(l.since, eventsAtOnce, func(seq uint64, topic, comment comntr.Hash) {
			l.batch = append(l.batch, event{seq, topic, comment}) // written below: the store may hold a lock
		})
		if !ok {
			l.reset()
			return
		}
		for _, e := range l.batch {
			if l.topic == nil || *l.topic == e.topic {
				l.printf("id: %s\nevent: comment\ndata: {\"topic\":\"%s\",\"comment\":\"%s\"}\n\n", l.id(e.seq), e.topic, e.comment)
			}
		}
		if next <= l.since {
			return
		}
		l.since = next
	}
}

package api

import (
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/netip"
	"os"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

const (
	textUTF8 = "text/plain; charset=utf-8"
	// Ids change with every comment, so caches must ask; a comment never
	// changes, but must be gone from caches within the hour of its removal.
	cacheIDs      = "no-cache"
	varyAccept    = "Accept, Accept-Encoding"
	cacheComments = "public, max-age=3600"
	// bodyBuffer is what is allocated before a body comes, at most.
	bodyBuffer = 4 << 10
)

// root answers with the id of a community's folder of topics, or with the page.
func (a *API) root(w *answer, r *http.Request, rt route) error {
	w.ofIDs()
	offers := []string{typeText, typeHTML}
	index := a.page.index()
	if rt.kind == kindFolder || index == nil {
		offers = offers[:1]
	}
	offer, named, ok := negotiate(parseAccept(r.Header["Accept"]), offers...)
	if !ok {
		return notAcceptable(offers)
	}
	if offer == typeHTML && named.typ == "text" && named.sub == "html" {
		return index.answer(w, r)
	}
	c, err := a.held[rt.community].Folders.Root(r.Context())
	if err != nil {
		return err
	}
	a.writeID(w, r, c)
	return nil
}

// topic answers with the id of a topic's folder, or with all that is in it.
func (a *API) topic(w *answer, r *http.Request, rt route) error {
	offer, named, ok := negotiate(parseAccept(r.Header["Accept"]), typeText, typeCAR)
	if !ok {
		w.ofIDs()
		return notAcceptable([]string{typeText, typeCAR})
	}
	a.cfg.Wanted(rt.community, rt.topic)
	folders := a.held[rt.community].Folders
	c, err := folders.Topic(r.Context(), rt.topic)
	if err != nil {
		w.ofIDs()
		return err
	}
	if offer == typeCAR {
		w.ofIDs()
		if notModified(w, r, carTag(c, "")) {
			return nil
		}
		return a.folder(w, r, folders, c, carDups(named))
	}
	a.writeID(w, r, c)
	return nil
}

// ofIDs sets the fields of an answer that depends on what is asked for and holds
// until the next comment.
func (w *answer) ofIDs() {
	h := w.Header()
	h.Set("Vary", varyAccept)
	h.Set("Cache-Control", cacheIDs)
}

// writeID answers with a folder's id, the answer that is asked for most: its
// fields are written as they were the last time where that can be.
func (a *API) writeID(w *answer, r *http.Request, c cid.Cid) {
	t := a.ids.of(c)
	h := w.Header()
	if w.conn != nil {
		w.conn.fields = t.fields
		delete(h, "Vary")
		delete(h, "Cache-Control")
	} else {
		w.unconfined()
		w.ofIDs()
		h.Set("Etag", t.etag)
	}
	if etagMatches(r.Header["If-None-Match"], t.etag) {
		w.WriteHeader(http.StatusNotModified)
		return
	}
	h["Content-Type"], h["Content-Length"] = plainText, t.length
	w.writeAll(r, http.StatusOK, t.body)
}

var plainText = []string{textUTF8}

// idText is a folder's id as it is answered. Answers share it.
type idText struct {
	cid          cid.Cid
	etag         string
	fields, body []byte
	length       []string
}

// maxIDTexts is how many ids are kept as text, 1 KB each: base 58 is a division
// of large numbers.
const maxIDTexts = 2048

// idTexts are those that were asked for last. Two whose hashes end alike take
// one place: who asks for both in turns gets them as quickly as without.
type idTexts [maxIDTexts]atomic.Pointer[idText]

func (t *idTexts) of(c cid.Cid) *idText {
	hash := c.KeyString()
	place := &t[(int(hash[len(hash)-2])<<8|int(hash[len(hash)-1]))%maxIDTexts]
	if text := place.Load(); text != nil && text.cid == c {
		return text
	}
	id := c.String()
	etag := `"` + id + `"`
	text := &idText{
		cid: c, etag: etag, body: []byte(id + "\n"), length: []string{strconv.Itoa(len(id) + 1)},
		fields: fmt.Appendf(nil, "%sVary: %s\r\nCache-Control: %s\r\nEtag: %s\r\n", fieldsOfID, varyAccept, cacheIDs, etag),
	}
	place.Store(text)
	return text
}

func notAcceptable(offers []string) error {
	return problem(http.StatusNotAcceptable, comntr.CodeNotAcceptable, "the Accept header takes none of what there is here: %s", strings.Join(offers, ", "))
}

// comment answers with a comment's bytes. Whatever they are, a browser must
// take them for text: hence the policies set for every answer.
func (a *API) comment(w *answer, r *http.Request, rt route) error {
	addr := clientAddr(r.RemoteAddr)
	if err := a.mayMove(addr); err != nil {
		return err
	}
	a.limits.spend(addr, lookupCost)
	b, err := a.held[rt.community].Store.Read(rt.topic, rt.comment)
	if err != nil {
		return err
	}
	a.limits.spend(addr, len(b))
	w.Header().Set("Cache-Control", cacheComments)
	if !notModified(w, r, `"`+rt.comment.String()+`"`) {
		writeBody(w, r, http.StatusOK, textUTF8, b)
	}
	return nil
}

// readBody reads a request's whole body of at most limit bytes, within the
// bounds of time.
func (a *API) readBody(w *answer, r *http.Request, limit int) ([]byte, error) {
	if e := r.Header.Get("Content-Encoding"); e != "" && !strings.EqualFold(e, "identity") {
		return nil, problem(http.StatusUnsupportedMediaType, comntr.CodeBadRequest, "the body is sent in the encoding %q: send it without any", clip(e, 40))
	}
	tooLarge := func() error {
		return problem(http.StatusRequestEntityTooLarge, comntr.CodeTooLarge, "the body has more than the %d bytes that this server takes: send less", limit)
	}
	if r.ContentLength > int64(limit) {
		return nil, tooLarge()
	}
	addr := clientAddr(r.RemoteAddr)
	if err := a.mayMove(addr); err != nil {
		return nil, err
	}
	end := time.Now().Add(bodyTime)
	// What is announced is not yet sent: the buffer grows with what comes.
	body := make([]byte, 0, min(int(max(r.ContentLength, 0)), bodyBuffer)+1)
	for {
		if len(body) == cap(body) {
			body = append(body, 0)[:len(body)]
		}
		stalled := time.Now().Add(bodyStall)
		if stalled.After(end) {
			stalled = end
		}
		w.readBy(stalled)
		n, err := r.Body.Read(body[len(body):min(cap(body), limit+1)])
		a.came(addr, n)
		body = body[:len(body)+n]
		switch {
		case len(body) > limit:
			return nil, tooLarge()
		case err == io.EOF:
			// Else the deadline would end the request while it is worked on.
			w.readBy(time.Time{})
			return body, nil
		case errors.Is(err, os.ErrDeadlineExceeded):
			return nil, problem(http.StatusRequestTimeout, comntr.CodeTimeout,
				"the body did not come: %d bytes did, then none for %d s, or not all within %d s; nothing was stored; send it again", len(body), int(bodyStall.Seconds()), int(bodyTime.Seconds()))
		case err != nil:
			w.Header().Set("Connection", "close")
			return nil, problem(http.StatusBadRequest, comntr.CodeBadRequest, "the body ended too early or is malformed after %d bytes: nothing was stored; send it again", len(body))
		}
	}
}

// mayMove refuses who has used up his bytes.
func (a *API) mayMove(addr netip.Addr) error {
	if wait := a.limits.ready(addr); wait > 0 {
		return later(wait, http.StatusTooManyRequests, comntr.CodeRateLimited, "your address has moved too many bytes through this server: wait as long as Retry-After says, or ask another server")
	}
	return nil
}

// came counts n bytes of a body.
func (a *API) came(addr netip.Addr, n int) {
	a.limits.spend(addr, n)
	a.meter.received.Add(uint64(n))
}

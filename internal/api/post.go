package api

import (
	"net/http"
	"time"

	"github.com/comntr/comntr"
)

// post takes a comment. All admission is here, and here alone: rate, size,
// dates ahead of time, and work. What is valid is decided by ParseDocument.
func (a *API) post(w *answer, r *http.Request, rt route) error {
	if wait := a.limits.post(clientAddr(r.RemoteAddr)); wait > 0 {
		return later(wait, http.StatusTooManyRequests, comntr.CodeRateLimited,
			"your address posts faster than the %g a second that this server takes: nothing was stored; wait as long as Retry-After says, or post to another server", a.cfg.Rate)
	}
	body, err := a.readBody(w, r, a.cfg.MaxSize)
	if err != nil {
		return err
	}
	doc, err := comntr.ParseDocument(comntr.Place{Community: rt.community, Topic: rt.topic}, body)
	if err != nil {
		return err
	}
	if doc.Premature(time.Now()) {
		return problem(http.StatusUnprocessableEntity, comntr.CodePremature,
			"the document's Date lies more than %d minutes ahead of this server's clock: nothing was stored; set your clock and sign again", int(comntr.MaxAhead.Minutes()))
	}
	// Work comes last, though it is the cheapest to look at: nobody should pay
	// for what is refused anyway, and whose key it is the signature alone tells.
	// What the checks above cost is bounded by the address's rate.
	store := a.held[rt.community].Store
	p := payerOf(doc)
	stranger, refusal := a.toll.enter(p)
	if refusal != nil {
		// Posting again what is held, or was, adds nothing and needs no work.
		if held, gone := store.Has(rt.topic, doc.ID()); !held && !gone {
			return refusal
		}
	}
	created, err := store.Add(r.Context(), doc, "")
	a.toll.leave(p, stranger, created)
	if err != nil {
		return err
	}
	a.meter.posted(created)
	rt.kind, rt.comment = kindComment, doc.ID()
	status := http.StatusOK
	if created {
		status = http.StatusCreated
	}
	h := w.Header()
	h.Set("Cache-Control", "no-store")
	h.Set("Location", rt.path())
	writeBody(w, r, status, textUTF8, []byte(doc.ID().String()+"\n"))
	return nil
}

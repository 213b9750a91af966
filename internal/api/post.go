package api

import (
	"context"
	"net/http"
	"net/netip"
	"time"

	"github.com/comntr/comntr"
)

// post takes a comment.
func (a *API) post(w *answer, r *http.Request, rt route) error {
	if err := a.mayPost(clientAddr(r.RemoteAddr)); err != nil {
		return err
	}
	body, err := a.readBody(w, r, a.cfg.MaxSize)
	if err != nil {
		return err
	}
	id, created, err := a.take(r.Context(), rt, body)
	if err != nil {
		return err
	}
	w.unconfined()
	w.Header().Set("Location", pathOfPost(rt, id))
	writeBody(w, r, statusOfPost(created), textUTF8, []byte(id.String()+"\n"))
	return nil
}

// mayPost takes one post of the address's rate.
func (a *API) mayPost(addr netip.Addr) error {
	if wait := a.limits.post(addr); wait > 0 {
		return later(wait, http.StatusTooManyRequests, comntr.CodeRateLimited,
			"your address posts faster than the %g a second that this server takes: nothing was stored; wait as long as Retry-After says, or post to another server", a.cfg.Rate)
	}
	return nil
}

// take admits a comment and stores it. With mayPost and the limit of readBody this
// is all admission: rate, size, dates ahead of time, and work. What is valid is
// decided by ParseDocument. The body is the caller's again afterwards.
func (a *API) take(ctx context.Context, rt route, body []byte) (id comntr.Hash, created bool, err error) {
	doc, err := comntr.ParseDocument(comntr.Place{Community: rt.community, Topic: rt.topic}, body)
	if err != nil {
		return id, false, err
	}
	if doc.Premature(time.Now()) {
		return id, false, problem(http.StatusUnprocessableEntity, comntr.CodePremature,
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
			return id, false, refusal
		}
	}
	created, err = store.Add(ctx, doc, "")
	a.toll.leave(p, stranger, created)
	if err != nil {
		return id, false, err
	}
	a.meter.posted(created)
	return doc.ID(), created, nil
}

// pathOfPost is where the comment that was posted is.
func pathOfPost(rt route, id comntr.Hash) string {
	rt.kind, rt.comment = kindComment, id
	return rt.path()
}

func statusOfPost(created bool) int {
	if created {
		return http.StatusCreated
	}
	return http.StatusOK
}

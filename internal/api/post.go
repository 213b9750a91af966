package api

import (
	"net/http"
	"time"

	"github.com/comntr/comntr"
)

// post takes a comment. All admission is here, and here alone: rate, size, and
// dates ahead of time. What is valid is decided by ParseDocument.
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
	created, err := a.held[rt.community].Store.Add(r.Context(), doc, "")
	if err != nil {
		return err
	}
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

package api

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"math"
	"net/http"
	"strconv"
	"strings"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/ipfs"
	"github.com/comntr/comntr/internal/store"
)

// problem makes a refusal. The detail says what happened, to what, and what to
// do about it.
func problem(status int, code, format string, args ...any) *comntr.Problem {
	return &comntr.Problem{
		Type:   "about:blank",
		Title:  http.StatusText(status),
		Status: status,
		Code:   code,
		Detail: fmt.Sprintf(format, args...),
	}
}

// later is a problem that waiting solves.
func later(wait time.Duration, status int, code, format string, args ...any) *comntr.Problem {
	p := problem(status, code, format, args...)
	p.RetryAfter = max(1, int(math.Ceil(wait.Seconds())))
	return p
}

// problemOf maps every error of a handler to its answer. An unknown one is a
// fault of this server: it is hidden, and logged by the caller.
func problemOf(err error) *comntr.Problem {
	var p *comntr.Problem
	var invalid *comntr.Invalid
	var gone *ipfs.GoneError
	switch {
	case errors.As(err, &p):
		return p
	case errors.As(err, &invalid):
		status := http.StatusUnprocessableEntity
		if invalid.Code == comntr.CodeTooLarge {
			status = http.StatusRequestEntityTooLarge
		}
		return problem(status, invalid.Code, "%s", invalid.Detail)
	case errors.Is(err, ipfs.ErrNoTopic):
		return problem(http.StatusNotFound, comntr.CodeNotFound, "no comment was ever posted to this topic here: post the first one, or ask another server")
	case errors.Is(err, store.ErrNotFound):
		return problem(http.StatusNotFound, comntr.CodeNotFound, "this server does not hold that comment: ask another server")
	case errors.Is(err, ipfs.ErrNotHeld):
		return problem(http.StatusNotFound, comntr.CodeNotFound, "this server does not hold that block, and fetches none for others")
	case errors.Is(err, ipfs.ErrTooLarge):
		return problem(http.StatusNotAcceptable, comntr.CodeNotAcceptable, "the folder is larger than a CAR from here may be: walk it by POST /blocks or over IPFS")
	case errors.Is(err, ipfs.ErrNotTopicFolder):
		return problem(http.StatusBadRequest, comntr.CodeBadRequest, "whole CARs are made of topics' folders only: ask with dag-scope=block or entity, or for many blocks at once with POST /blocks")
	case errors.As(err, &gone):
		names := make([]string, len(gone.Comments))
		for i, c := range gone.Comments {
			names[i] = c.String()
		}
		return problem(http.StatusGone, comntr.CodeGone, "removed by their authors, for good: %s; ask for the topic's present folder", strings.Join(names, ", "))
	case errors.Is(err, store.ErrGone), errors.Is(err, ipfs.ErrGone):
		return problem(http.StatusGone, comntr.CodeGone, "the comment was removed by its author, for good: do not ask again")
	case errors.Is(err, store.ErrDenied), errors.Is(err, ipfs.ErrDenied):
		return problem(http.StatusUnavailableForLegalReasons, comntr.CodeDenied, "this server's operator does not keep or give this: ask, or post to, another server")
	case errors.Is(err, store.ErrSlotTaken):
		return problem(http.StatusConflict, comntr.CodeSlotTaken,
			"another comment of this topic has the same 64 bits of murmur3 and a smaller id, and a folder can list only one of the two: change the text, by a space if need be")
	case errors.Is(err, store.ErrFull), errors.Is(err, ipfs.ErrNoRoom):
		return problem(http.StatusInsufficientStorage, comntr.CodeFull, "this server's disk, or what its operator gave it, is used up: nothing was stored; post to another server")
	case errors.Is(err, store.ErrDamaged), errors.Is(err, ipfs.ErrUnreadable):
		return problem(http.StatusInternalServerError, comntr.CodeDamaged, "a comment's file was damaged on this server's disk: ask another server")
	case errors.Is(err, store.ErrStopping), errors.Is(err, ipfs.ErrClosed):
		return stoppingProblem()
	case errors.Is(err, context.Canceled), errors.Is(err, context.DeadlineExceeded):
		return problem(http.StatusRequestTimeout, comntr.CodeTimeout, "the request ended before its answer: a comment posted by it may have been stored; post it again")
	default:
		return problem(http.StatusInternalServerError, comntr.CodeInternal, "a fault of this server, which has logged it: try again, or another server")
	}
}

// stoppingTime is how long a client of a server that stops is told to wait.
const stoppingTime = 5 * time.Second

func stoppingProblem() *comntr.Problem {
	return later(stoppingTime, http.StatusServiceUnavailable, comntr.CodeStopping, "this server is stopping: nothing was stored; ask another server, or this one again later")
}

// writeProblem answers with the problem document (RFC 9457).
func writeProblem(w *answer, r *http.Request, p *comntr.Problem) {
	h := w.Header()
	for _, name := range []string{"Content-Disposition", "Content-Encoding", "Content-Length", "Content-Location", "Etag", "Location"} {
		h.Del(name) // of the answer it takes the place of
	}
	if p.RetryAfter > 0 {
		h.Set("Retry-After", strconv.Itoa(p.RetryAfter))
	}
	h.Set("Cache-Control", "no-store")
	writeBody(w, r, p.Status, "application/problem+json", encodeProblem(p))
}

func encodeProblem(p *comntr.Problem) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false) // people read these in terminals, and no browser takes them for HTML
	if err := e.Encode(p); err != nil {
		panic(err) // strings and integers always encode
	}
	return b.Bytes()
}

// clip shortens what a stranger sent.
func clip(s string, n int) string {
	if len(s) <= n {
		return s
	}
	return s[:n] + "..."
}

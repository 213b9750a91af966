package api

import (
	"encoding/base64"
	"net/http"
	"strings"

	"github.com/comntr/comntr"
)

// announce hands a request for a WebSocket on to the tracker. What is no such
// request is answered here, because nobody sees a WebSocket library's refusals.
func (a *API) announce(w *answer, r *http.Request) error {
	if !wantsWebSocket(r) {
		w.Header().Set("Upgrade", "websocket")
		w.Header().Set("Connection", "Upgrade")
		return problem(http.StatusUpgradeRequired, comntr.CodeUpgrade,
			"this is a WebTorrent tracker, spoken to over a WebSocket (RFC 6455, version 13): open ws:// or wss:// at this address, as new WebSocket(url) does")
	}
	a.cfg.Tracker.ServeHTTP(w, r)
	return nil
}

// wantsWebSocket reports whether r opens a WebSocket (RFC 6455, section 4.2.1).
func wantsWebSocket(r *http.Request) bool {
	key, err := base64.StdEncoding.DecodeString(r.Header.Get("Sec-WebSocket-Key"))
	return r.Method == http.MethodGet && r.ProtoAtLeast(1, 1) &&
		hasToken(r.Header["Connection"], "upgrade") && hasToken(r.Header["Upgrade"], "websocket") &&
		len(r.Header["Sec-Websocket-Key"]) == 1 && err == nil && len(key) == 16 &&
		r.Header.Get("Sec-WebSocket-Version") == "13"
}

// hasToken reports whether a header that is a list names token, in any case.
func hasToken(values []string, token string) bool {
	for _, v := range values {
		for name := range strings.SplitSeq(v, ",") {
			if strings.EqualFold(strings.TrimSpace(name), token) {
				return true
			}
		}
	}
	return false
}

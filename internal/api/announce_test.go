package api_test

import (
	"context"
	"net"
	"net/http"
	"testing"
	"testing/synctest"
	"time"

	"github.com/coder/websocket"

	"github.com/comntr/comntr/internal/api"
)

// echo is a tracker that says what it hears.
func echo(ended chan<- error) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ws, err := websocket.Accept(w, r, &websocket.AcceptOptions{InsecureSkipVerify: true})
		if err != nil {
			ended <- err
			return
		}
		go func() {
			defer ws.CloseNow()
			for {
				kind, b, err := ws.Read(context.Background())
				if err == nil {
					err = ws.Write(context.Background(), kind, b)
				}
				if err != nil {
					ended <- err
					return
				}
			}
		}()
	})
}

// A WebSocket goes through all that this package wraps connections and answers
// in: any page may open it, no deadline of an answer or of a header ends it, and
// it counts as one of its address's connections until it is closed.
func TestAnnounce(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 64 // connections of one address
		ended := make(chan error, most)
		cfg := config(t, newMemory("reddit"))
		cfg.Tracker = echo(ended)
		cfg.Rate = 2
		a := api.New(cfg)
		l := newPipes()
		s := a.Server()
		done := make(chan error, 1)
		go func() { done <- s.Serve(a.Listener(l)) }()
		tr := &http.Transport{DialContext: func(context.Context, string, string) (net.Conn, error) { return l.dial(), nil }}
		open := func() (*websocket.Conn, *http.Response, error) {
			return websocket.Dial(t.Context(), "ws://server/announce", &websocket.DialOptions{
				HTTPClient: &http.Client{Transport: tr},
				HTTPHeader: http.Header{"Origin": {"https://elsewhere.example"}},
			})
		}
		var all []*websocket.Conn
		for range most {
			ws, r, err := open()
			if err != nil {
				t.Fatal(r, err)
			}
			all = append(all, ws)
		}
		ws := all[0]
		const text = "hello"
		for range 3 {
			if err := ws.Write(t.Context(), websocket.MessageText, []byte(text)); err != nil {
				t.Fatal(err)
			}
			if _, b, err := ws.Read(t.Context()); err != nil || string(b) != text {
				t.Fatalf("%q, %v", b, err)
			}
			time.Sleep(time.Hour)
		}
		// It is told so at once, so that the client may see its answer before it
		// has asked, and then none.
		if _, r, err := open(); err == nil || r != nil && r.StatusCode != http.StatusServiceUnavailable {
			t.Error("one too many: ", r, err)
		}
		all[1].CloseNow()
		<-ended
		synctest.Wait()
		again, r, err := open()
		if err != nil {
			t.Fatal("after one was closed: ", r, err)
		}
		all[1] = again
		if err := s.Shutdown(t.Context()); err != nil { // does not wait for them
			t.Error(err)
		}
		if err := <-done; err != http.ErrServerClosed {
			t.Error(err)
		}
		for _, ws := range all {
			ws.CloseNow()
			<-ended
		}
	})
}

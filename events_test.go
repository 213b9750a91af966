package comntr_test

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"github.com/comntr/comntr"
)

// jar gives a cookie for every address.
type jar struct{}

func (jar) SetCookies(*url.URL, []*http.Cookie) {}
func (jar) Cookies(*url.URL) []*http.Cookie     { return []*http.Cookie{{Name: "who", Value: "you"}} }

// streaming is a client whose server answers /events with body.
func streaming(t *testing.T, body io.Reader) *comntr.Client {
	return must(comntr.NewClient(helloOrigin, &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream; charset=utf-8"}}, Body: io.NopCloser(body), Request: r}, nil
	})}))
}

func event(id string, topic, comment comntr.Hash) string {
	return fmt.Sprintf("id: %s\nevent: comment\ndata: {\"topic\":\"%s\",\"comment\":\"%s\"}\n\n", id, topic, comment)
}

func TestEvents(t *testing.T) {
	a, b := comntr.SumHash([]byte("a")), comntr.SumHash([]byte("b"))
	var got []comntr.Event
	var request *http.Request
	c := serve(t, func(w http.ResponseWriter, r *http.Request) {
		request = r
		w.Header().Set("Content-Type", "text/event-stream")
		io.WriteString(w, ": hello\n\nretry: 1000\n\n"+event("1-1", news.Topic, a)+":\n"+
			// CRLF, fields without a space, an event of another kind, unknown fields.
			strings.ReplaceAll(event("1-2", news.Topic, b), "\n", "\r\n")+
			"id:1-3\nevent:other\ndata:x\n\nid: 1-4\nunknown\nevent: comment\ndata: {\"topic\":\""+news.Topic.String()+"\",\ndata: \"comment\":\""+a.String()+"\",\"more\":1}\n\n"+
			// Not ended by an empty line: not an event.
			"event: comment\ndata: {}")
	})
	err := c.Events(t.Context(), news.Community, &news.Topic, "0-9", func(e comntr.Event) error {
		got = append(got, e)
		return nil
	})
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("the server closed, and the error is %v", err)
	}
	want := []comntr.Event{{"1-1", news.Topic, a}, {"1-2", news.Topic, b}, {"1-4", news.Topic, a}}
	if fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got  %v\nwant %v", got, want)
	}
	if uri := "/" + news.Community.String() + "/events?topic=" + news.Topic.String(); request.RequestURI != uri {
		t.Errorf("asked for %s, want %s", request.RequestURI, uri)
	}
	if id, accept := request.Header.Get("Last-Event-ID"), request.Header.Get("Accept"); id != "0-9" || accept != "text/event-stream" {
		t.Errorf("Last-Event-ID: %s, Accept: %s", id, accept)
	}
	c.Events(t.Context(), news.Community, nil, "", func(comntr.Event) error { return nil })
	if _, ok := request.Header["Last-Event-Id"]; ok || request.RequestURI != "/"+news.Community.String()+"/events" {
		t.Errorf("without topic and id: %s, %v", request.RequestURI, request.Header)
	}
	// fn's error ends it, as it is.
	stop := errors.New("stop")
	if err := c.Events(t.Context(), news.Community, nil, "", func(comntr.Event) error { return stop }); err != stop {
		t.Errorf("fn's error comes back as %v", err)
	}
}

// After a reset the caller knows where to go on.
func TestEventsReset(t *testing.T) {
	a := comntr.SumHash([]byte("a"))
	n := 0
	err := streaming(t, strings.NewReader("id: 7-1\nevent: reset\ndata:\n\n"+event("7-2", news.Topic, a))).
		Events(t.Context(), news.Community, nil, "6-100", func(comntr.Event) error { n++; return nil })
	var reset *comntr.ResetError
	if !errors.Is(err, comntr.ErrReset) || !errors.As(err, &reset) || reset.ID != "7-1" || n != 0 {
		t.Errorf("%d events, %v", n, err)
	}
}

func TestEventsRefuses(t *testing.T) {
	long := strings.Repeat("x", comntr.MaxEventLine)
	for _, c := range []struct{ name, body string }{
		{"a line too long", "data: " + long + "\n"},
		{"a comment too long", ":" + long + "\n"},
		{"data of many lines", strings.Repeat("data: "+long[:1000]+"\n", 5)},
		{"an id too long", "id: " + long[:257] + "\n"},
		{"an id with an escape", "id: \x1b[m\n"},
		{"an id with NUL", "id: a\x00b\n"},
		{"data that is no JSON", "event: comment\ndata: x\n\n"},
		{"no data", "event: comment\n\n"},
		{"no comment", "event: comment\ndata: {\"topic\":\"" + news.Topic.String() + "\"}\n\n"},
		{"a null topic", "event: comment\ndata: {\"topic\":null,\"comment\":\"" + news.Topic.String() + "\"}\n\n"},
		{"a topic in upper case", "event: comment\ndata: {\"topic\":\"" + strings.ToUpper(news.Topic.String()) + "\",\"comment\":\"" + news.Topic.String() + "\"}\n\n"},
		{"a topic that is a path", "event: comment\ndata: {\"topic\":\"../../etc\",\"comment\":\"" + news.Topic.String() + "\"}\n\n"},
	} {
		t.Run(c.name, func(t *testing.T) {
			err := streaming(t, strings.NewReader(c.body)).Events(t.Context(), news.Community, nil, "", func(e comntr.Event) error {
				t.Errorf("an event: %+v", e)
				return nil
			})
			if !errors.Is(err, comntr.ErrBadAnswer) {
				t.Errorf("%v", err)
			}
		})
	}
	// A line of exactly the bound is read.
	err := streaming(t, strings.NewReader(":"+long[2:]+"\n")).Events(t.Context(), news.Community, nil, "", nil)
	if !errors.Is(err, io.ErrUnexpectedEOF) {
		t.Errorf("a line of %d bytes: %v", comntr.MaxEventLine, err)
	}
	if err := serve(t, answer(200, "<html>")).Events(t.Context(), news.Community, nil, "", nil); !errors.Is(err, comntr.ErrBadAnswer) {
		t.Errorf("a web page: %v", err)
	}
	var p *comntr.Problem
	if err := serve(t, answer(503, "")).Events(t.Context(), news.Community, nil, "", nil); !errors.As(err, &p) || p.Status != 503 {
		t.Errorf("a refusal: %v", err)
	}
	if err := streaming(t, strings.NewReader("")).Events(t.Context(), news.Community, nil, "a\nb", nil); err == nil {
		t.Error("an id with a line end is sent")
	}
}

// Heartbeats keep a quiet stream open; bytes without a line do not, and what
// the caller does with an event does not count against the server.
func TestEventsSilence(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		pr, pw := io.Pipe()
		done := make(chan struct{})
		go func() {
			defer close(done)
			for range 10 {
				time.Sleep(comntr.EventSilence - time.Second)
				io.WriteString(pw, ":\n")
			}
			io.WriteString(pw, event("1", news.Topic, news.Topic))
			for { // bytes, but no line
				time.Sleep(10 * time.Second)
				if _, err := pw.Write([]byte("x")); err != nil {
					return
				}
			}
		}()
		start := time.Now()
		err := streamingWith(pr).Events(t.Context(), news.Community, nil, "", func(comntr.Event) error {
			time.Sleep(5 * comntr.EventSilence)
			return nil
		})
		want := 10*(comntr.EventSilence-time.Second) + 5*comntr.EventSilence + comntr.EventSilence
		if took := time.Since(start); !errors.Is(err, comntr.ErrStalled) || took != want {
			t.Errorf("after %v, want %v: %v", took, want, err)
		}
		<-done
	})
}

// streamingWith is streaming, but the body ends with the request's context, as
// that of a connection does.
func streamingWith(pr *io.PipeReader) *comntr.Client {
	return must(comntr.NewClient(helloOrigin, &http.Client{Transport: roundTrip(func(r *http.Request) (*http.Response, error) {
		context.AfterFunc(r.Context(), func() { pr.CloseWithError(r.Context().Err()) })
		return &http.Response{StatusCode: 200, Header: http.Header{"Content-Type": {"text/event-stream"}}, Body: pr, Request: r}, nil
	})}))
}

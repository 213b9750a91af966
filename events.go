package comntr

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"strings"
	"time"
	"unicode"
)

// Bounds of a stream of events (HTML Living Standard, "Server-sent events").
const (
	maxEventLine = 4 << 10          // bytes of a line, and of an event's data
	maxEventID   = 256              // bytes
	eventSilence = 60 * time.Second // without a line, heartbeats included: the connection is dead
)

// ErrReset is under the error of Events, a *ResetError, where the server can no
// longer tell what came after the id it was asked to resume from: what was
// missed must be learned from the folders.
var ErrReset = errors.New("the server cannot resume the events")

// ResetError is ErrReset with the id to go on from.
type ResetError struct{ ID string }

func (e *ResetError) Error() string { return ErrReset.Error() }
func (e *ResetError) Unwrap() error { return ErrReset }

// Event says that a comment was added. ID is the server's word for this place
// in its stream: give it to Events to go on from there.
type Event struct {
	ID      string `json:"-"`
	Topic   Hash   `json:"topic"`
	Comment Hash   `json:"comment"`
}

// Events follows what is added to a community, or to one topic of it, and
// calls fn for each comment. It goes on from lastID, or if that is empty from
// now. It returns when ctx ends, fn fails, the server closes or falls silent
// for a minute (ErrStalled), and never nil.
func (c *Client) Events(ctx context.Context, community Hash, topic *Hash, lastID string, fn func(Event) error) error {
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	url := c.origin + "/" + community.String() + "/events"
	if topic != nil {
		url += "?topic=" + topic.String()
	}
	req, err := http.NewRequestWithContext(ctx, "GET", url, nil)
	if err != nil {
		return err
	}
	if lastID != "" {
		req.Header.Set("Last-Event-ID", lastID)
	}
	var fnErr error
	err = c.send(req, stop, "text/event-stream", func(r *http.Response) error {
		if t, _, err := mime.ParseMediaType(r.Header.Get("Content-Type")); err != nil || t != "text/event-stream" {
			return fmt.Errorf("%w: not a stream of events", ErrBadAnswer)
		}
		// Here whole lines count, not reads: a server that sends a byte now
		// and then is as dead as one that sends none.
		body := r.Body.(*watchedBody)
		alive := func() { body.watch.Reset(eventSilence) }
		alive()
		err := readEvents(body.ReadCloser, alive, func(e Event) error {
			body.watch.Stop()
			defer alive()
			fnErr = fn(e)
			return fnErr
		})
		if err == io.EOF {
			err = io.ErrUnexpectedEOF
		}
		return err
	})
	if fnErr != nil {
		return fnErr
	}
	return err
}

// readEvents reads r to its end and never returns nil. alive is called for
// every line.
func readEvents(r io.Reader, alive func(), fn func(Event) error) error {
	br := bufio.NewReaderSize(r, maxEventLine)
	var id, name, data string
	for {
		line, err := br.ReadSlice('\n')
		if err == bufio.ErrBufferFull {
			return fmt.Errorf("%w: a line of more than %d bytes", ErrBadAnswer, maxEventLine)
		}
		if err != nil {
			return err
		}
		alive()
		field, value, _ := strings.Cut(strings.TrimRight(string(line), "\r\n"), ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "id":
			if len(value) > maxEventID || strings.ContainsFunc(value, unicode.IsControl) {
				return fmt.Errorf("%w: an event's id is longer than %d bytes or has control characters", ErrBadAnswer, maxEventID)
			}
			id = value
		case "event":
			name = value
		case "data":
			if data += value; len(data) > maxEventLine {
				return fmt.Errorf("%w: an event of more than %d bytes", ErrBadAnswer, maxEventLine)
			}
		case "": // a heartbeat, or an event's end
			if len(strings.TrimRight(string(line), "\r\n")) > 0 {
				continue
			}
			switch name {
			case "reset":
				return &ResetError{ID: id}
			case "comment":
				e := Event{ID: id}
				if err := json.Unmarshal([]byte(data), &e); err != nil {
					return fmt.Errorf("%w: an event's data: %w", ErrBadAnswer, err)
				}
				if e.Topic == (Hash{}) || e.Comment == (Hash{}) {
					return fmt.Errorf("%w: an event without topic or comment", ErrBadAnswer)
				}
				if err := fn(e); err != nil {
					return err
				}
			}
			name, data = "", ""
		}
	}
}

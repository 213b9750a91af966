package api_test

import (
	"bytes"
	"crypto/ed25519"
	"encoding/json"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/api"
)

// A topic is listed under the name that a document says, the latest first.
func TestTopics(t *testing.T) {
	addr := serve(t, api.New(config(t, nil)))
	c := newClient(t, addr)
	key := ed25519.NewKeyFromSeed(bytes.Repeat([]byte{7}, 32))
	for i := range 3 {
		name := fmt.Sprint("/r/", i)
		doc, err := comntr.Draft{
			Place: comntr.Place{Community: comntr.NameHash("reddit"), Topic: comntr.NameHash(name)},
			Date:  time.Date(2026, 11, 22, 10, i, 0, 0, time.UTC), Name: name, Body: []byte("hello"),
		}.Sign(key)
		if err != nil {
			t.Fatal(err)
		}
		if _, _, err := c.Post(t.Context(), doc.Place(), doc.Bytes()); err != nil {
			t.Fatal(err)
		}
	}
	r, err := client(t).Get("http://" + addr + "/topics")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	var list struct {
		Topics []struct {
			Topic    comntr.Hash
			Name     string
			Comments int
			Last     time.Time
		}
	}
	if err := json.NewDecoder(r.Body).Decode(&list); err != nil {
		t.Fatal(err)
	}
	var names []string
	for _, topic := range list.Topics {
		names = append(names, topic.Name)
		if topic.Topic != comntr.NameHash(topic.Name) || topic.Comments != 1 || topic.Last.Hour() != 10 {
			t.Errorf("%+v", topic)
		}
	}
	if got := strings.Join(names, " "); got != "/r/2 /r/1 /r/0" {
		t.Errorf("listed: %s", got)
	}
}

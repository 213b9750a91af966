package discover

import (
	"bytes"
	"cmp"
	"encoding/json"
	"errors"
	"fmt"
	"unicode/utf8"

	"github.com/comntr/comntr"
)

// Bounds of the tracker's messages.
const (
	// maxMessage is bytes of one message. Ten offers of a data channel have 10
	// to 30 KB.
	maxMessage = 64 << 10
	// maxSDP is bytes of one session description. One of a data channel has
	// about 500 bytes and 150 for each candidate; those with audio and video
	// about 8 KB.
	maxSDP = 16 << 10
	// maxOffers of one announce are passed on, the rest is not read.
	// WebTorrent's clients make 5, some others 10; each may take one
	// connection of somebody else.
	maxOffers = 10
	// maxOfferID is bytes of an offer's id as UTF-8: clients take 20
	// characters below U+0100, some of which have two bytes.
	maxOfferID = 64
	// maxScrape is infohashes of one scrape.
	maxScrape = 64
)

// PeerID is what a peer calls itself in a swarm: 20 bytes (BEP 3).
type PeerID [20]byte

// binary is 20 bytes as the protocol's JSON has them: a string with a
// character below U+0100 for each byte.
type binary [20]byte

func (b binary) text() string {
	runes := make([]rune, len(b))
	for i, c := range b {
		runes[i] = rune(c)
	}
	return string(runes)
}

func (b *binary) set(s string) bool {
	i := 0
	for _, r := range s {
		if i == len(b) || r > 0xff {
			return false
		}
		b[i] = byte(r)
		i++
	}
	return i == len(b)
}

// MarshalText and UnmarshalText make it JSON's string, as a value and as a key.
func (b binary) MarshalText() ([]byte, error) { return []byte(b.text()), nil }

func (b *binary) UnmarshalText(text []byte) error {
	if !b.set(string(text)) {
		return errors.New("info_hash, peer_id and to_peer_id are strings of 20 characters below U+0100, a byte each")
	}
	return nil
}

// description is a session description of WebRTC, which other members of the
// object that a client sent are not part of.
type description struct {
	Type string `json:"type"`
	SDP  string `json:"sdp"`
}

func (d *description) valid(kind string) bool {
	return d != nil && d.Type == kind && d.SDP != "" && len(d.SDP) <= maxSDP
}

type wireOffer struct {
	Offer *description `json:"offer"`
	ID    string       `json:"offer_id"`
}

// offerList reads at most maxOffers and makes nothing of the rest.
type offerList []wireOffer

func (l *offerList) UnmarshalJSON(b []byte) error {
	if string(b) == "null" {
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return errors.New("offers is a list")
	}
	for len(*l) < maxOffers && d.More() {
		var o wireOffer
		if err := d.Decode(&o); err != nil {
			return err
		}
		*l = append(*l, o)
	}
	return nil
}

// hashList is an infohash, or a list of at most maxScrape.
type hashList []binary

func (l *hashList) UnmarshalJSON(b []byte) error {
	var one binary
	switch {
	case string(b) == "null":
		return nil
	case b[0] == '"':
		if err := json.Unmarshal(b, &one); err != nil {
			return err
		}
		*l = hashList{one}
		return nil
	}
	d := json.NewDecoder(bytes.NewReader(b))
	if t, err := d.Token(); err != nil || t != json.Delim('[') {
		return errors.New("info_hash is a string, or of a scrape a list of strings")
	}
	for d.More() {
		if len(*l) == maxScrape {
			return fmt.Errorf("a scrape asks for at most %d infohashes", maxScrape)
		}
		if err := d.Decode(&one); err != nil {
			return err
		}
		*l = append(*l, one)
	}
	return nil
}

// action is what a message asks for, or tells.
type action string

const (
	actionAnnounce action = "announce"
	actionScrape   action = "scrape"
)

// event is why a peer announces.
type event string

const (
	eventStarted   event = "started"
	eventCompleted event = "completed"
	eventStopped   event = "stopped"
)

// request is a client's message that was found good.
type request struct {
	action action
	hashes []comntr.Hash // one of an announce, one or more of a scrape
	peer   PeerID
	event  event // as sent; the unknown ones mean nothing
	// complete is whether the peer has everything, nil where it does not say.
	complete *bool
	offers   []wireOffer
	answer   *answerTo // instead of all the rest
}

// answerTo is the answer to an offer that was passed on before.
type answerTo struct {
	to      PeerID
	offerID string
	sdp     string
}

// parseRequest reads what a client sent. Everything in it is a stranger's.
func parseRequest(b []byte) (*request, error) {
	var m struct {
		Action  action          `json:"action"`
		Hashes  hashList        `json:"info_hash"`
		PeerID  *binary         `json:"peer_id"`
		Event   event           `json:"event"`
		Left    json.RawMessage `json:"left"`
		Offers  offerList       `json:"offers"`
		Answer  *description    `json:"answer"`
		To      *binary         `json:"to_peer_id"`
		OfferID string          `json:"offer_id"`
	}
	if err := json.Unmarshal(b, &m); err != nil {
		if wrong := (*json.UnmarshalTypeError)(nil); errors.As(err, &wrong) { // its own text tells Go's types
			err = fmt.Errorf("%s has the wrong type", cmp.Or(wrong.Field, "the whole"))
		}
		return nil, fmt.Errorf("the message is not the JSON of this protocol: %w", err)
	}
	r := &request{action: m.Action, event: m.Event}
	for _, h := range m.Hashes {
		r.hashes = append(r.hashes, comntr.Hash(h))
	}
	switch m.Action {
	case actionScrape:
		if len(r.hashes) == 0 {
			return nil, errors.New("a scrape names its infohashes in info_hash")
		}
		return r, nil
	case actionAnnounce:
	default:
		return nil, errors.New("action is announce or scrape")
	}
	if len(r.hashes) != 1 || m.PeerID == nil {
		return nil, errors.New("an announce has one info_hash and a peer_id")
	}
	r.peer = PeerID(*m.PeerID)
	if m.Answer != nil {
		if !m.Answer.valid("answer") || m.To == nil || !validOfferID(m.OfferID) {
			return nil, fmt.Errorf("an answer has answer.type \"answer\", answer.sdp of at most %d bytes, to_peer_id and offer_id", maxSDP)
		}
		r.answer = &answerTo{to: PeerID(*m.To), offerID: m.OfferID, sdp: m.Answer.SDP}
		return r, nil
	}
	for _, o := range m.Offers {
		if !o.Offer.valid("offer") || !validOfferID(o.ID) {
			return nil, fmt.Errorf("each of offers has offer.type \"offer\", offer.sdp of at most %d bytes, and an offer_id of at most %d", maxSDP, maxOfferID)
		}
	}
	r.offers = m.Offers
	r.complete = completeness(m.Event, m.Left)
	return r, nil
}

// completeness tells whether a peer says that it has everything. A browser
// that does not know how much is left sends null for Infinity.
func completeness(e event, left json.RawMessage) *bool {
	var n float64
	complete := e == eventCompleted
	if !complete {
		if len(left) == 0 {
			return nil
		}
		complete = string(left) != "null" && json.Unmarshal(left, &n) == nil && n == 0
	}
	return &complete
}

func validOfferID(id string) bool {
	return id != "" && len(id) <= maxOfferID && utf8.ValidString(id)
}

// message is a tracker's message to a client.
type message struct {
	Action     action                 `json:"action,omitempty"`
	InfoHash   *binary                `json:"info_hash,omitempty"`
	Failure    string                 `json:"failure reason,omitempty"`
	Interval   float64                `json:"interval,omitempty"` // seconds
	Complete   *int                   `json:"complete,omitempty"`
	Incomplete *int                   `json:"incomplete,omitempty"`
	PeerID     *binary                `json:"peer_id,omitempty"`
	OfferID    string                 `json:"offer_id,omitempty"`
	Offer      *description           `json:"offer,omitempty"`
	Answer     *description           `json:"answer,omitempty"`
	Files      map[binary]scrapeCount `json:"files,omitempty"`
}

type scrapeCount struct {
	Complete   int `json:"complete"`
	Incomplete int `json:"incomplete"`
	Downloaded int `json:"downloaded"` // nobody counts them; clients expect the member
}

// encode writes a message without JSON's escapes for HTML, which triple the
// size of what SDP is full of.
func encode(m any) []byte {
	var b bytes.Buffer
	e := json.NewEncoder(&b)
	e.SetEscapeHTML(false)
	if err := e.Encode(m); err != nil {
		panic(err) // strings and integers always encode
	}
	return bytes.TrimSuffix(b.Bytes(), []byte("\n"))
}

func failure(a action, h comntr.Hash, reason string) []byte {
	hash := binary(h)
	return encode(message{Action: a, InfoHash: &hash, Failure: reason})
}

package store

import (
	"bytes"
	"sync"

	"github.com/comntr/comntr"
)

// ReadListed is Read for who knows that the comment is listed, as Listing has
// told: its file is read without asking the index, which takes a third of the
// time. Where it is not there, or is not what its name says, Read judges. A
// comment that is being removed just now may still be given.
func (s *Store) ReadListed(topic, comment comntr.Hash) ([]byte, error) {
	place := comntr.Place{Community: s.community, Topic: topic}
	deny := s.deny.Load()
	if _, denied := deny.Comment(place, comment); denied {
		return nil, ErrDenied
	}
	if !s.at.ok() {
		return s.Read(topic, comment)
	}
	buf := documents.Get().(*[comntr.MaxDocument + 1]byte)
	defer documents.Put(buf)
	n, err := s.at.read(key{topic, comment}.place(), buf[:])
	if err != nil || comntr.SumHash(buf[:n]) != comment {
		return s.Read(topic, comment)
	}
	s.damage.forget(key{topic, comment})
	b := bytes.Clone(buf[:n])
	if _, denied := deny.File(place, comment, b); denied {
		return nil, ErrDenied
	}
	return b, nil
}

// DeniedComment tells whether the operator's list denies a comment by its name.
func (s *Store) DeniedComment(topic, comment comntr.Hash) bool {
	_, denied := s.deny.Load().Comment(comntr.Place{Community: s.community, Topic: topic}, comment)
	return denied
}

// documents are buffers that take any document, and show whether there is more.
var documents = sync.Pool{New: func() any { return new([comntr.MaxDocument + 1]byte) }}

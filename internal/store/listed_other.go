//go:build !linux

package store

import (
	"os"

	"github.com/comntr/comntr"
)

// readOnce reads the beginning of a comment's file.
func (s *Store) readOnce(topic, comment comntr.Hash, b []byte) (int, error) {
	f, err := os.Open(s.path(topic, comment))
	if err != nil {
		return 0, err
	}
	defer f.Close()
	return f.Read(b)
}

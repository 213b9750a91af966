//go:build !linux

package store

import "github.com/comntr/comntr"

// hasDescriptors: see descriptors.
const hasDescriptors = false

// descriptors: vfs.FS does it all.
type descriptors struct{ links bool }

func (s *Store) openDescriptors() error { return nil }

func (descriptors) ok() bool                              { return false }
func (descriptors) close()                                {}
func (descriptors) create(string, []byte) error           { return errNoMove }
func (descriptors) loose([]byte) (int, error)             { return 0, errNoMove }
func (descriptors) shut(int) error                        { return nil }
func (descriptors) link(int, string) error                { return errNoMove }
func (descriptors) name(int, string) error                { return errNoMove }
func (descriptors) move(string, string) error             { return errNoMove }
func (descriptors) begin(string)                          {}
func (descriptors) read(string, []byte) (int, error)      { return 0, errNoMove }
func (descriptors) stat(comntr.Hash) (bool, int64, error) { return false, 0, errNoMove }

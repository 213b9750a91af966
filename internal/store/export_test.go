package store

import (
	"context"

	"github.com/comntr/comntr"
)

func init() { mergeTables = 4 }

// Checkpoint makes a checkpoint now.
func (s *Store) Checkpoint() error { return s.checkpoint() }

// Remove removes a comment as its author's delete does, plain text too.
func (s *Store) Remove(ctx context.Context, topic, comment comntr.Hash) error {
	r, err := s.submit(ctx, []item{{kind: itemStrike, topic: topic, comment: comment, state: stateGone}})
	if err != nil {
		return err
	}
	return r[0].Err
}

// JournalItems is how many entries no checkpoint has dropped yet.
func (s *Store) JournalItems() int {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return s.journal.items
}

// CommitsAhead is how many commits were planned on top of one whose files did not
// stand yet, and TakenBackAhead how many of them were taken back because it failed.
func (s *Store) CommitsAhead() uint64   { return s.meter.ahead.Load() }
func (s *Store) TakenBackAhead() uint64 { return s.meter.takenBack.Load() }

// ByDescriptors tells how commits reach the tree.
func (s *Store) ByDescriptors() bool { return s.at.ok() }

// ByLinks tells whether commits make files without names, and WithNames has them not.
func (s *Store) ByLinks() bool { return s.at.links }
func (s *Store) WithNames()    { s.at.links = false }

// MaxLoose is how many files of a commit are made without names.
const MaxLoose = maxLoose

// HasDescriptors is whether they can by descriptors on this system.
const HasDescriptors = hasDescriptors

// MaxNameFiles is how many files a commit reads for topics' names.
const MaxNameFiles = maxNameFiles

// BeginEarly has the disk begin to write a comment's file.
func (s *Store) BeginEarly(topic, comment comntr.Hash) {
	s.at.begin(key{topic, comment}.place())
}

// LogLength is what a new log of the index is filled to.
const LogLength = memTableSize

// Used is what is taken of a disk, in bytes.
func (d *Disk) Used() int64 {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.used
}

// EventsKept is how far back Events can go.
const EventsKept = eventsKept

// CheckpointAge is how old a journal gets, and the pause after a failure.
const CheckpointAge = checkpointAge

// CheckpointFew is how many entries of the journal a checkpoint waits for where few
// post at a time.
const CheckpointFew = checkpointFew

// MaxJournal bounds the journal to so many bytes.
func (o Options) MaxJournal(bytes int64) Options {
	o.maxJournal = bytes
	return o
}

// Slot makes names fall into the slots that slot says.
func (o Options) Slot(slot func(comntr.Hash) uint64) Options {
	o.slot = slot
	return o
}

// Scrub scrubs the index's own files now.
func (s *Store) Scrub(ctx context.Context) error { return s.scrub(ctx) }

// ScrubAfter is when that is done.
const ScrubAfter = scrubAfter

// Comparer orders the index's keys.
var Comparer = comparer

// ScrubDue tells whether that is to be done.
func (s *Store) ScrubDue() bool {
	s.mu.RLock()
	defer s.mu.RUnlock()
	return !s.scrubDue.IsZero()
}

package store

import (
	"encoding/binary"
	"hash/crc32"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
)

// witness is a small file beside the index that has the number of the last
// commit. Pebble takes what it cannot read at the end of its log for a write
// that a crash cut short, because that is what it nearly always is; but if the
// disk damaged what was durable, commits that were acknowledged are missing, and
// their numbers would be given a second time. The witness tells. It is not
// synced, so that it costs nothing: after a power cut it may tell less.
type witness struct{ f vfs.File }

const (
	witnessName  = "last"
	witnessBytes = 8 + 8 + 4 // epoch, number, CRC-32 of both
)

// open opens the file, making it if need be. Without one the store does too.
func (w *witness) open(s *Store) {
	f, err := s.fs.OpenReadWrite(s.fs.PathJoin(s.hidden, witnessName), writeCategory)
	if err != nil {
		s.log.Warn("the file that witnesses the index's last commit cannot be opened", "err", err)
		return
	}
	w.f = f
}

func (w *witness) close() {
	if w.f != nil {
		w.f.Close() // nothing depends on it
		w.f = nil
	}
}

// read returns what it has, if anything.
func (w *witness) read() (epoch, seq uint64, ok bool) {
	b := make([]byte, witnessBytes)
	if w.f == nil {
		return 0, 0, false
	}
	if _, err := w.f.ReadAt(b, 0); err != nil || crc32.ChecksumIEEE(b[:16]) != binary.BigEndian.Uint32(b[16:]) {
		return 0, 0, false
	}
	return binary.BigEndian.Uint64(b), binary.BigEndian.Uint64(b[8:]), true
}

// put notes a commit that is durable.
func (w *witness) put(epoch, seq uint64) {
	if w.f == nil {
		return
	}
	b := appendUint64(appendUint64(make([]byte, 0, witnessBytes), epoch), seq)
	b = binary.BigEndian.AppendUint32(b, crc32.ChecksumIEEE(b))
	if _, err := w.f.WriteAt(b, 0); err != nil {
		w.close() // what it has is older, and so still true
	}
}

// lostCommits is how many numbers the index lacks that it had. fresh: it was made
// just now.
func (s *Store) lostCommits(fresh bool) uint64 {
	epoch, last, ok := s.witness.read()
	switch {
	case !ok, !fresh && epoch != s.epoch, last <= s.seq:
		return 0
	}
	return last - s.seq
}

// testify compares the index with its witness. One that lost commits gets a new
// epoch, because their numbers will be given again, and all folders are
// compared with it: what the commits brought stands there.
func (s *Store) testify(fresh bool) error {
	lost := s.lostCommits(fresh)
	if lost == 0 {
		return nil
	}
	s.log.Error("the index lost its last changes, which were durable: the disk damaged its log; what they brought is looked for in the files", "changes", lost)
	b := s.db.NewBatch()
	defer b.Close()
	s.epoch = newEpoch()
	b.Set(metaKey(metaEpoch), appendUint64(nil, s.epoch), nil)
	b.DeleteRange([]byte{keyTime}, []byte{keyTime + 1}, nil)
	return b.Commit(pebble.Sync)
}

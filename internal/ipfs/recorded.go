package ipfs

import (
	"encoding/binary"
	"errors"
	"fmt"
	"log/slog"
	"path/filepath"

	"github.com/cockroachdb/pebble/v2"
	"github.com/cockroachdb/pebble/v2/vfs"
	"github.com/ipfs/go-cid"

	"github.com/comntr/comntr"
)

// Record is what Folders wrote down of one topic's folder: its id, when the
// topic's number was Seq.
type Record struct {
	Seq uint64
	ID  cid.Cid
}

// Records are those of a community.
type Records struct {
	Version comntr.Version
	Epoch   uint64 // of the source that Seq counts for
	Topics  map[comntr.Hash]Record
}

// Recorded reads, and changes nothing, what OpenFolders(dir) last wrote down:
// for a check of ids while nothing is running. An error means that there is
// no database or that it cannot be read; a start makes it anew.
func Recorded(dir string) (r Records, err error) {
	r.Topics = map[comntr.Hash]Record{}
	db, err := pebble.Open(filepath.Join(dir, "blocks"), &pebble.Options{
		FS: vfs.Default, ReadOnly: true, ErrorIfNotExists: true, Logger: pebbleLog{slog.New(slog.DiscardHandler)}, // what is wrong comes back as an error
		FormatMajorVersion: pebble.FormatNewest,
	})
	if err != nil {
		return r, fmt.Errorf("open the block database: %w", err)
	}
	defer func() { err = errors.Join(err, db.Close()) }()
	header, closer, err := db.Get([]byte{keyHeader})
	if err != nil {
		return r, fmt.Errorf("read the block database: %w", err)
	}
	defer closer.Close()
	if len(header) != 10 || header[0] != formatVersion || header[1] > 1 {
		return r, errors.New("the block database is of another format")
	}
	r.Version, r.Epoch = comntr.Version(header[1]), binary.BigEndian.Uint64(header[2:])
	n := &nodeDB{db: db}
	var bad error
	err = n.scanPrefix([]byte{keyFolder}, func(k, v []byte) bool {
		if len(k) != 21 {
			return true
		}
		rec, err := decodeRecord(v)
		if err != nil {
			bad = err
			return false
		}
		if !rec.partial {
			r.Topics[comntr.Hash(k[1:])] = Record{rec.seq, rec.root}
		}
		return true
	})
	return r, errors.Join(err, bad)
}

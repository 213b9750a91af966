package discover

import (
	"encoding/json"
	"errors"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"slices"
	"time"
)

// Bounds of the file of servers found good.
const (
	maxSaved       = 256 // servers, those known longest
	maxSavedBytes  = 256 << 10
	saveKnownEvery = time.Minute         // at most, while running
	forgetAfter    = 30 * 24 * time.Hour // without a good hello
)

// knownServer is a server found good, as the file has it. What is read from the
// file is a candidate like any other, but tried before strangers.
type knownServer struct {
	Origin string    `json:"origin"`
	Key    string    `json:"key"`
	Since  time.Time `json:"since"`
	Seen   time.Time `json:"seen"`
}

type knownFile struct {
	Servers []knownServer `json:"servers"`
}

func readKnown(file string, log *slog.Logger) []knownServer {
	if file == "" {
		return nil
	}
	var k knownFile
	f, err := os.Open(file)
	if err == nil {
		defer f.Close()
		err = json.NewDecoder(io.LimitReader(f, maxSavedBytes)).Decode(&k)
	}
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			log.Warn("the servers known from the last run could not be read: going on without", "err", err)
		}
		return nil
	}
	now := time.Now()
	var list []knownServer
	for _, s := range k.Servers[:min(len(k.Servers), maxSaved)] {
		if s.Since.IsZero() || s.Since.After(now) || now.Sub(s.Seen) > forgetAfter {
			continue
		}
		list = append(list, s)
	}
	return list
}

// save writes the file. Servers that a person named are left out: he names
// them again or means them to be gone.
func (b *Book) save() {
	if b.cfg.File == "" {
		return
	}
	b.mu.Lock()
	k := knownFile{Servers: []knownServer{}}
	now := time.Now()
	for _, e := range b.known {
		if !e.named && !e.since.IsZero() && now.Sub(e.seen) <= forgetAfter && e.key != b.cfg.SelfKey {
			k.Servers = append(k.Servers, knownServer{e.origin, e.key, e.since.UTC().Truncate(time.Second), e.seen.UTC().Truncate(time.Second)})
		}
	}
	b.dirty = false
	b.mu.Unlock()
	slices.SortFunc(k.Servers, func(x, y knownServer) int { return x.Since.Compare(y.Since) })
	k.Servers = k.Servers[:min(len(k.Servers), maxSaved)]
	text, err := json.MarshalIndent(k, "", "  ")
	if err == nil {
		err = WriteFile(b.cfg.File, append(text, '\n'))
	}
	if err != nil {
		b.log.Warn("the servers known could not be saved for the next run", "err", err)
	}
}

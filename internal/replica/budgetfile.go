package replica

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"time"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
)

// savedBudgets is the state file, in JSON: without it each restart would give
// every stranger a new budget.
type savedBudgets struct {
	Windows []savedWindow `json:"windows"`
}

// savedWindow is a window without the names of its topics.
type savedWindow struct {
	Address string    `json:"address"` // "": of all for whom there was no room
	Start   time.Time `json:"start"`
	Bytes   int64     `json:"bytes"`
	Files   int       `json:"files"`
	Topics  int       `json:"topics"`
	Beyond  int       `json:"beyond"`
	Nodes   int64     `json:"nodes"` // bytes
	Full    bool      `json:"full"`
}

// loadBudgets goes on with the budgets of the last run. A file that cannot be
// read costs the budgets and nothing else.
func (r *Replica) loadBudgets() {
	if r.cfg.StateFile == "" {
		return
	}
	saved, err := readBudgets(r.cfg.StateFile)
	if err != nil {
		r.cfg.Log.Warn("what other servers brought today could not be read: they may bring as much again", "err", err)
		return
	}
	for _, s := range saved {
		w := &window{limit: r.cfg.Budget, now: r.cfg.Now}
		w.restore(s)
		switch {
		case w.over():
		case s.Address == "":
			r.crowd = w
		case len(r.windows) < maxWindows:
			r.windows[s.Address] = w
		}
	}
}

func readBudgets(file string) ([]savedWindow, error) {
	f, err := os.Open(file)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, maxStateBytes+1))
	if err != nil {
		return nil, err
	}
	var saved savedBudgets
	if err := json.Unmarshal(b, &saved); err != nil {
		return nil, fmt.Errorf("%s is damaged: %w", file, err)
	}
	for _, s := range saved.Windows {
		if min(s.Bytes, s.Nodes) < 0 || min(s.Files, s.Topics, s.Beyond) < 0 {
			return nil, fmt.Errorf("%s is damaged: %q brought less than nothing", file, s.Address)
		}
	}
	return saved.Windows, nil
}

// keepBudgets writes the state file, unless nobody brought anything.
func (r *Replica) keepBudgets() {
	if r.cfg.StateFile == "" {
		return
	}
	var saved savedBudgets
	r.mu.Lock()
	for address, w := range r.windows {
		if !w.over() {
			saved.Windows = append(saved.Windows, w.save(address))
		}
	}
	if !r.crowd.over() {
		saved.Windows = append(saved.Windows, r.crowd.save(""))
	}
	r.mu.Unlock()
	if len(saved.Windows) == 0 {
		return // what the file has is over
	}
	b, err := json.Marshal(saved)
	if err == nil {
		err = discover.WriteFile(r.cfg.StateFile, b)
	}
	if err != nil {
		r.cfg.Log.Warn("what other servers brought today could not be saved: after a restart they may bring as much again", "err", err)
	}
}

func (w *window) save(address string) savedWindow {
	w.mu.Lock()
	defer w.mu.Unlock()
	return savedWindow{
		Address: address, Start: w.start,
		Bytes: w.used.Bytes, Files: w.used.Files, Topics: w.used.Topics + len(w.topics),
		Beyond: w.beyond, Nodes: w.nodes, Full: w.full,
	}
}

func (w *window) restore(s savedWindow) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.start, w.used = s.Start, Budget{Bytes: s.Bytes, Files: s.Files, Topics: s.Topics}
	w.topics = make(map[comntr.Hash]bool)
	w.beyond, w.nodes, w.full = s.Beyond, s.Nodes, s.Full
}

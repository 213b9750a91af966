package discover

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"
)

// Bounds of the state file.
const (
	maxStateNodes = 200 // over both families
	maxStateBytes = 64 << 10
)

// readState returns the nodes of the last run, one ADDRESS:PORT a line. They
// are hints: each is asked before it counts. A line that is none is left out.
func readState(file string, log *slog.Logger) []netip.AddrPort {
	if file == "" {
		return nil
	}
	f, err := os.Open(file)
	if err != nil {
		if !errors.Is(err, fs.ErrNotExist) {
			log.Warn("the DHT nodes of the last run could not be read", "err", err)
		}
		return nil
	}
	defer f.Close()
	var list []netip.AddrPort
	lines := bufio.NewScanner(io.LimitReader(f, maxStateBytes))
	for lines.Scan() && len(list) < maxStateNodes {
		if ap, err := netip.ParseAddrPort(lines.Text()); err == nil && ap.Port() != 0 {
			list = append(list, ap)
		}
	}
	return list
}

// keepState saves the state file now and then.
func (d *DHT) keepState(ctx context.Context) {
	tick := time.NewTicker(saveEvery)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
			if err := d.saveState(); err != nil {
				d.log.Warn("the DHT nodes for the next run could not be saved", "err", err)
			}
		}
	}
}

// saveState writes the nodes that are not known to be bad, unless there is
// none: then the last run's are the better hints.
func (d *DHT) saveState() error {
	if d.cfg.StateFile == "" {
		return nil
	}
	var b []byte
	for _, n := range d.nodes {
		nodes := n.server().Nodes()
		for _, ni := range nodes[:min(len(nodes), maxStateNodes/2)] {
			if a, ok := netip.AddrFromSlice(ni.Addr.IP); ok {
				b = netip.AddrPortFrom(a.Unmap(), uint16(ni.Addr.Port)).AppendTo(b)
				b = append(b, '\n')
			}
		}
	}
	if len(b) == 0 {
		return nil
	}
	if err := WriteFile(d.cfg.StateFile, b); err != nil {
		return fmt.Errorf("save DHT nodes: %w", err)
	}
	return nil
}

// WriteFile replaces file by one with the bytes b, in one step: a reader, or a
// start after a crash, sees the old or the new one. It is not synced; what is
// kept this way can be done without.
func WriteFile(file string, b []byte) error {
	tmp, err := os.CreateTemp(filepath.Dir(file), filepath.Base(file)+".tmp-*")
	if err != nil {
		return err
	}
	defer os.Remove(tmp.Name()) // gone already if all went well
	_, err = tmp.Write(b)
	if err = errors.Join(err, tmp.Close()); err != nil {
		return err
	}
	return os.Rename(tmp.Name(), file)
}

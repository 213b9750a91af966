package main

import (
	"crypto/ed25519"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/dustin/go-humanize"
	"golang.org/x/sys/unix"

	"github.com/comntr/comntr/internal/api"
	"github.com/comntr/comntr/internal/store"
)

// defaultData is the user's data folder: $XDG_DATA_HOME/comntr, else
// ~/.local/share/comntr.
func defaultData() (string, error) {
	if d := os.Getenv("XDG_DATA_HOME"); filepath.IsAbs(d) {
		return filepath.Join(d, "comntr"), nil
	}
	home, err := os.UserHomeDir()
	if err != nil {
		return "", fmt.Errorf("find the user's data folder: %w; name one with --data", err)
	}
	return filepath.Join(home, ".local", "share", "comntr"), nil
}

// dataFolder returns the folder that a --data flag means, absolute.
func dataFolder(flag string) (string, error) {
	if flag == "" {
		return defaultData()
	}
	return filepath.Abs(flag)
}

// lockData locks the data folder that a --data flag means, for a command that
// wants it at rest; it must be there.
func lockData(flag string) (data string, lock io.Closer, err error) {
	if data, err = dataFolder(flag); err != nil {
		return "", nil, err
	}
	if _, err := os.Stat(data); err != nil {
		return "", nil, fmt.Errorf("%w; --data names another folder", err)
	}
	lock, err = store.Lock(data)
	return data, lock, err
}

// serverKey reads the server's identity from <data>/.comntr/key, 64 hex
// digits of the Ed25519 seed, and makes one at the first start.
func serverKey(data string) (ed25519.PrivateKey, error) {
	path := filepath.Join(data, ".comntr", "key")
	b, err := os.ReadFile(path)
	if errors.Is(err, fs.ErrNotExist) {
		seed := make([]byte, ed25519.SeedSize)
		rand.Read(seed)
		if err := writeFile(path, hex.EncodeToString(seed)+"\n"); err != nil {
			return nil, fmt.Errorf("keep the server's new key: %w", err)
		}
		return ed25519.NewKeyFromSeed(seed), nil
	}
	if err != nil {
		return nil, fmt.Errorf("read the server's key: %w", err)
	}
	seed, err := hex.DecodeString(strings.TrimSpace(string(b)))
	if err != nil || len(seed) != ed25519.SeedSize {
		return nil, fmt.Errorf("%s holds no key: 64 hex digits are wanted; put back a copy, or remove it to become a new server", path)
	}
	return ed25519.NewKeyFromSeed(seed), nil
}

// certificates are those for WebTransport, kept in <data>/.comntr/webtransport
// so that a restart does not lose the pages that know them.
func certificates(data string, log *slog.Logger) (*api.Certificates, error) {
	path := filepath.Join(data, ".comntr", "webtransport")
	kept, err := os.ReadFile(path)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, fmt.Errorf("read the certificates for WebTransport: %w", err)
	}
	keep := func(b []byte) error { return writeFile(path, string(b)) }
	return api.NewCertificates(kept, keep, nil, log), nil
}

// writeFile makes a file that only the owner can read, whole or not at all.
func writeFile(path, content string) error {
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		return err
	}
	f, err := os.CreateTemp(filepath.Dir(path), ".new-*")
	if err != nil {
		return err
	}
	defer os.Remove(f.Name())
	_, err = f.WriteString(content)
	if err == nil {
		err = f.Sync()
	}
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	if err := os.Rename(f.Name(), path); err != nil {
		return err
	}
	// Else a power cut soon after the first start takes the server's key.
	dir, err := os.Open(filepath.Dir(path))
	if err != nil {
		return err
	}
	return errors.Join(dir.Sync(), dir.Close())
}

// maxDisk returns what the operator gave, or the default: half of what was
// free at the first start, remembered in <data>/.comntr/max-disk so that a
// server that fills up does not move its own limit.
func maxDisk(data string, given size, log *slog.Logger) (int64, error) {
	if given > 0 {
		return int64(given), nil
	}
	path := filepath.Join(data, ".comntr", "max-disk")
	if b, err := os.ReadFile(path); err == nil {
		n, err := strconv.ParseInt(strings.TrimSpace(string(b)), 10, 64)
		if err != nil || n <= 0 {
			return 0, fmt.Errorf("%s holds no number of bytes: remove it, or name the limit with --max-disk", path)
		}
		return n, nil
	}
	var disk unix.Statfs_t
	if err := unix.Statfs(data, &disk); err != nil {
		return 0, fmt.Errorf("see how much disk is free: %w; name the limit with --max-disk", err)
	}
	n := int64(disk.Bavail) * int64(disk.Bsize) / 2
	if err := writeFile(path, strconv.FormatInt(n, 10)+"\n"); err != nil {
		return 0, fmt.Errorf("keep the disk limit: %w", err)
	}
	log.Info("comments may use half of what is free on the disk; --max-disk says otherwise", "limit", humanize.IBytes(uint64(n)))
	return n, nil
}

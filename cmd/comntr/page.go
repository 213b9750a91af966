package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"unicode"

	"github.com/dustin/go-humanize"

	"github.com/comntr/comntr"
	"github.com/comntr/comntr/internal/discover"
	"github.com/comntr/comntr/web"
)

// maxPageList is how many servers, trackers and STUN servers each the page reads
// of its config.json, and maxPageString how long each may be.
const (
	maxPageList   = 32
	maxPageString = 256
)

type pageCmd struct {
	Dir       string   `arg:"" help:"Folder to write: a new one, or one that holds an earlier copy of the page. What else is in it stays."`
	Community string   `help:"Community that the page shows where its address names none. Default: reddit."`
	Server    []string `help:"Servers that the page asks at once; repeatable. It finds others by itself." placeholder:"URL" sep:"none"`
	Tracker   []string `help:"WebTorrent trackers by which it finds servers, or none; repeatable. Default: public ones." placeholder:"URL" sep:"none"`
	STUN      []string `name:"stun" help:"STUN servers that help through NATs, or none; repeatable. Default: public ones." placeholder:"HOST:PORT" sep:"none"`
	List      []string `help:"Moderators' lists that the page's readers use unless they switch them off: the id, as comntr mod new prints it, and what to call it; repeatable." placeholder:"'ID NAME'" sep:"none"`
}

// pageConfig is config.json beside the page: whose page it is, and where it
// begins to look.
type pageConfig struct {
	Community string   `json:"community"`
	Servers   []string `json:"servers"`
	Trackers  []string `json:"trackers"`
	STUN      []string `json:"stun"`
	Lists     []string `json:"lists,omitempty"` // "<community>/<list> <name>"
}

func (c *pageCmd) Run(e *env) error {
	config, err := c.config()
	if err != nil {
		return err
	}
	old, err := os.ReadFile(filepath.Join(c.Dir, "index.html"))
	switch {
	case err == nil && !isPage(old):
		return fmt.Errorf("%w: %s has an index.html that is not this page: name another folder, or remove that file", errUsage, c.Dir)
	case err != nil && !errors.Is(err, fs.ErrNotExist):
		return err
	}
	files := web.Page()
	// The index comes after what it asks for, so that an earlier page is whole until
	// then; and the service worker after the index, whose version it names.
	var names []string
	err = fs.WalkDir(files, ".", func(name string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && name != "index.html" && name != "config.json" && name != "sw.js" {
			names = append(names, name)
		}
		return err
	})
	if err != nil {
		return err
	}
	size := 0
	put := func(name string, b []byte) error {
		size += len(b)
		to := filepath.Join(c.Dir, filepath.FromSlash(name))
		if err := os.MkdirAll(filepath.Dir(to), 0o755); err != nil {
			return err
		}
		return os.WriteFile(to, b, 0o644)
	}
	for _, name := range append(names, "index.html", "sw.js") {
		b, err := fs.ReadFile(files, name)
		if err != nil {
			return err
		}
		if err := put(name, b); err != nil {
			return err
		}
	}
	kept := false
	if _, err := os.Stat(filepath.Join(c.Dir, "config.json")); err == nil && c.asksNothing() {
		kept = true
	} else if err := put("config.json", config); err != nil {
		return err
	}
	now, err := fs.ReadFile(files, "index.html")
	if err != nil {
		return err
	}
	for _, dir := range pageFolders(old) {
		if !bytes.Contains(now, []byte(dir+"/")) {
			if err := os.RemoveAll(filepath.Join(c.Dir, dir)); err != nil {
				return err
			}
		}
	}
	fmt.Fprintf(e.stdout, "The page is in %s: %d files, %s.\n", c.Dir, len(names)+3, humanize.Bytes(uint64(size)))
	if kept {
		fmt.Fprintln(e.stdout, "Its config.json is the one that was there; flags change it.")
	}
	fmt.Fprintln(e.stdout, "Put the folder on any static host, at any path. What follows the # in a link is the same in all copies.")
	for _, s := range c.Server {
		if strings.HasPrefix(s, "http:") {
			fmt.Fprintf(e.stdout, "From an https page browsers do not ask %s directly: there it is reached over WebTransport or WebRTC, once a tracker or another server names it.\n", s)
		}
	}
	return nil
}

func (c *pageCmd) asksNothing() bool {
	return c.Community == "" && c.Server == nil && c.Tracker == nil && c.STUN == nil && c.List == nil
}

// config is the config.json that the flags ask for.
func (c *pageCmd) config() ([]byte, error) {
	out := pageConfig{Community: c.Community, Servers: []string{}, Trackers: discover.PublicTrackers(), STUN: discover.PublicSTUN()}
	if out.Community == "" {
		out.Community = "reddit"
	}
	for _, s := range c.Server {
		u, err := url.Parse(s)
		if err != nil || (u.Scheme != "http" && u.Scheme != "https") || u.Host == "" || u.User != nil || strings.Trim(u.Path, "/") != "" || u.RawQuery != "" || u.Fragment != "" {
			return nil, fmt.Errorf("%w: --server %s: it is https://HOST or http://HOST:PORT", errUsage, s)
		}
		out.Servers = append(out.Servers, u.Scheme+"://"+u.Host)
	}
	if c.Tracker != nil {
		out.Trackers = off(c.Tracker)
	}
	for _, t := range out.Trackers {
		if u, err := url.Parse(t); err != nil || (u.Scheme != "ws" && u.Scheme != "wss") || u.Host == "" {
			return nil, fmt.Errorf("%w: --tracker %s: it is wss://HOST/PATH", errUsage, t)
		}
	}
	if c.STUN != nil {
		out.STUN = off(c.STUN)
	}
	for i, s := range out.STUN {
		out.STUN[i] = "stun:" + strings.TrimPrefix(s, "stun:")
	}
	for _, l := range c.List {
		id, name, _ := strings.Cut(l, " ")
		topic, err := comntr.ParseHash(id)
		if err != nil || name == "" || strings.ContainsFunc(name, unicode.IsControl) {
			return nil, fmt.Errorf("%w: --list %q: it is a list's id, a space and what to call it", errUsage, shorten(l, maxPageString))
		}
		place := comntr.Place{Community: comntr.HashOrName(out.Community), Topic: topic}
		out.Lists = append(out.Lists, fmt.Sprintf("%s/%s %s", place.Community, place.Topic, name))
	}
	for name, list := range map[string][]string{"--server": out.Servers, "--tracker": out.Trackers, "--stun": out.STUN, "--list": out.Lists, "--community": {out.Community}} {
		if len(list) > maxPageList {
			return nil, fmt.Errorf("%w: %s: the page reads %d of them", errUsage, name, maxPageList)
		}
		for _, s := range list {
			if len(s) > maxPageString {
				return nil, fmt.Errorf("%w: %s: the page reads no more than %d bytes of each", errUsage, name, maxPageString)
			}
		}
	}
	b, err := json.MarshalIndent(out, "", "  ")
	return append(b, '\n'), err
}

// isPage reports whether an index.html is a copy of the page, of any version.
func isPage(index []byte) bool { return bytes.Contains(index, []byte("trusted-types comntr")) }

var pageFolder = regexp.MustCompile(`"([0-9a-f]{12})/`)

// pageFolders returns the folders, named by a hash, that an index.html asks for.
func pageFolders(index []byte) (dirs []string) {
	for _, m := range pageFolder.FindAllSubmatch(index, -1) {
		dirs = append(dirs, string(m[1]))
	}
	return dirs
}

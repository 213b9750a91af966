package main

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// readers starts a network of a static host with the page, npm's tracker, one
// server that announces itself there, and computers with a browser each: what
// starts it is in the facts under the computer's name. The page knows the
// tracker alone. A host with only a loopback interface has no address that a
// browser would offer, and a browser takes the one that leads to anywhere.
func readers(t *testing.T, texts []string, names ...string) (facts, *server) {
	t.Helper()
	needsPage(t)
	packages := interop(t, "bittorrent-tracker")
	h := newHosts(t)
	add := func(name, addr string) {
		h.add(name, addr)
		h.ip("-n", h.prefix+name, "route", "add", "default", "dev", "eth0")
	}
	add("site", "45.50.0.1")
	add("server", "45.60.0.1")
	track := exec.Command("node", "tracker-serve.mjs", "45.50.0.1")
	track.Dir = packages
	tracker := started(t, h.on("site", track))
	config, err := json.Marshal(map[string]any{"community": "reddit", "servers": []string{}, "trackers": []string{tracker}})
	if err != nil {
		t.Fatal(err)
	}
	static := exec.Command("node", "e2e/host.mjs", "45.50.0.1", "dist", string(config))
	static.Dir = filepath.Join("..", "..", "web")
	const origin = "http://45.60.0.1:4080"
	f := facts{"site": started(t, h.on("site", static)), "tracker": tracker, "server": origin}

	data := t.TempDir()
	s := startServer(t, data, h.command("server", "serve", "--data", data, "--public-url", origin, "--rate", "0", "--max-disk", "1GiB",
		"--dht-bootstrap", "none", "--ipfs-bootstrap", "none", "--stun", "none", "--webtransport-listen", "none",
		"--tracker", tracker, "--no-embedded-tracker"))
	for _, text := range texts {
		if _, err := h.run("server", "post", "--server", origin, "--anonymous", "--user", "Ann", pageTopic, text); err != nil {
			t.Fatal(err)
		}
	}
	for i, name := range names {
		add(name, fmt.Sprintf("45.%d.0.1", 70+i))
		start := filepath.Join(t.TempDir(), name)
		chromium, err := exec.LookPath("chromium")
		if err != nil {
			t.Fatal(err)
		}
		script := fmt.Sprintf("#!/bin/sh\nexec ip netns exec %s %s \"$@\"\n", h.prefix+name, chromium)
		if err := os.WriteFile(start, []byte(script), 0o755); err != nil {
			t.Fatal(err)
		}
		f[name] = start
	}
	// For who is to give it changed.
	fetch := exec.Command("node", "-e", `fetch(process.argv[1], {headers: {Accept: "application/vnd.ipld.car"}}).then(async (answer) =>
		process.stdout.write(Buffer.from(await answer.arrayBuffer()).toString("base64")))`, origin+"/"+pagePlace.String())
	car, err := h.on("server", fetch).Output()
	if err != nil || len(car) == 0 {
		t.Fatalf("fetch the folder: %v, %d bytes", err, len(car))
	}
	f["car"] = string(bytes.TrimSpace(car))
	return f, s
}

// TestE2EPageSeeds: with every server dead, who comes anew reads the thread from
// another reader's open page; and the next one from that one, when the first is
// closed. A page that lies is not believed.
func TestE2EPageSeeds(t *testing.T) {
	texts := []string{"The sky is blue.", "The sea is blue.", "The grass is green."}
	f, s := readers(t, texts, "ann", "bob", "eve", "liar", "flood", "dan")
	f["texts"] = strings.Join(texts, "|")
	play(t, "seeds.mjs", "seeds", f, acts{"kill": func(string) (string, error) { s.kill(); return "", nil }})
}

package main

import (
	"cmp"
	"fmt"
	"log/slog"
	"net"
	"unicode/utf8"

	"github.com/comntr/comntr/internal/admin"
	"github.com/comntr/comntr/internal/api"
	"github.com/comntr/comntr/internal/discover"
	"github.com/comntr/comntr/internal/ipfs"
	"github.com/comntr/comntr/internal/replica"
	"github.com/comntr/comntr/internal/store"
)

// listenAdmin opens the operator's own listener, nil where he wants none.
func (c *serveCmd) listenAdmin(log *slog.Logger) (net.Listener, error) {
	if c.AdminListen == "none" || c.AdminListen == "" {
		return nil, nil
	}
	l, err := net.Listen("tcp", c.AdminListen)
	if err != nil {
		return nil, fmt.Errorf("listen for the operator: %w; --admin-listen names another address, or none", err)
	}
	if admin.Private(l.Addr()) {
		log.Info("figures and profiles are at", "url", "http://"+l.Addr().String())
	} else {
		log.Warn("whoever reaches this address sees the figures of this server and may take its time by profiles: let a firewall keep others out, or listen on 127.0.0.1", "address", l.Addr().String())
	}
	return l, nil
}

// adminConfig says where the operator's figures come from.
func adminConfig(served []community, disk *store.Disk, web *api.API, node *ipfs.Node, repl *replica.Replica, book *discover.Book, dht *discover.DHT, tracker *discover.Tracker, rtc *discover.RTC, log *slog.Logger) admin.Config {
	cfg := admin.Config{
		Version:  version,
		Disk:     disk.Usage,
		API:      web.Counters,
		Node:     node.Counters,
		Replica:  repl.Counters,
		Book:     book.Counters,
		DHTNodes: dht.Nodes,
		Tracker:  tracker.Counters,
		Log:      log.With("part", "admin"),
	}
	if rtc != nil {
		cfg.RTC = rtc.Counters
	}
	for _, s := range served {
		name := cmp.Or(s.name, s.id.String())
		if !utf8.ValidString(name) { // Prometheus takes nothing else
			name = s.id.String()
		}
		cfg.Communities = append(cfg.Communities, admin.Community{Name: name, Store: s.store.Counters, Folders: s.folders.Counters})
	}
	return cfg
}

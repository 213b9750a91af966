package main

import (
	"bytes"
	"errors"
	"log/slog"
	"net/http"
	"strings"
	"testing"
	"time"
)

// TestAdminListen: an address that others reach is taken, and said in words.
func TestAdminListen(t *testing.T) {
	for address, warns := range map[string]bool{"127.0.0.1:0": false, "localhost:0": false, ":0": true, "0.0.0.0:0": true} {
		var said bytes.Buffer
		c := serveCmd{AdminListen: address}
		l, err := c.listenAdmin(slog.New(slog.NewTextHandler(&said, nil)))
		if err != nil {
			t.Fatal(err)
		}
		l.Close()
		if strings.Contains(said.String(), "WARN") != warns {
			t.Errorf("%s: %s", address, &said)
		}
	}
	for _, off := range []string{"", "none"} {
		c := serveCmd{AdminListen: off}
		if l, err := c.listenAdmin(slog.New(slog.DiscardHandler)); l != nil || err != nil {
			t.Errorf("%q: %v, %v", off, l, err)
		}
	}
}

// TestAdminStops: a stop does not wait for a profile.
func TestAdminStops(t *testing.T) {
	s := serve(t, t.TempDir(), "--admin-listen", "127.0.0.1:0")
	over := make(chan struct{})
	go func() {
		defer close(over)
		r, err := http.Get(s.admin + "/debug/pprof/profile?seconds=250")
		if err == nil {
			r.Body.Close()
		}
	}()
	eventually(t, time.Minute, func() error { return stacksHave(s.admin, "pprof.Profile(") })
	s.stop()
	<-over
}

// stacksHave looks for a function among those that a server runs.
func stacksHave(admin, function string) error {
	r, err := http.Get(admin + "/debug/pprof/goroutine?debug=2")
	if err != nil {
		return err
	}
	defer r.Body.Close()
	var stacks bytes.Buffer
	if _, err := stacks.ReadFrom(r.Body); err != nil {
		return err
	}
	if !strings.Contains(stacks.String(), function) {
		return errors.New(function + " does not run")
	}
	return nil
}

package admin_test

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"maps"
	"math"
	"net"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus/testutil/promlint"
	"github.com/prometheus/common/expfmt"
	"github.com/prometheus/common/model"
	"go.uber.org/goleak"

	"github.com/comntr/comntr/internal/admin"
	"github.com/comntr/comntr/internal/api"
	"github.com/comntr/comntr/internal/discover"
	"github.com/comntr/comntr/internal/ipfs"
	"github.com/comntr/comntr/internal/measure"
	"github.com/comntr/comntr/internal/replica"
	"github.com/comntr/comntr/internal/store"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// numbers gives each number that a counter can have another value, from 1,001
// on, and remembers of which field it was.
type numbers struct{ of map[float64]string }

func (n *numbers) next(field string) int {
	v := 1001 + len(n.of)
	n.of[float64(v)] = field
	return v
}

// fill sets all fields of a struct of counters.
func (n *numbers) fill(v reflect.Value, path string) {
	switch v.Kind() {
	case reflect.Struct:
		if v.Type() == reflect.TypeFor[measure.Snapshot]() {
			// Sums are of nanoseconds nearly everywhere.
			v.Set(reflect.ValueOf(measure.Snapshot{Bounds: []int64{1e9, 2e9}, Counts: []uint64{1, 2, 3}, Sum: int64(n.next(path)) * 1e9}))
			return
		}
		for i := range v.NumField() {
			n.fill(v.Field(i), path+"."+v.Type().Field(i).Name)
		}
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		n.fill(v.Elem(), path)
	case reflect.Array:
		for i := range v.Len() {
			n.fill(v.Index(i), fmt.Sprint(path, i))
		}
	case reflect.Slice:
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			n.fill(v.Index(i), fmt.Sprint(path, i))
		}
	case reflect.String:
		v.SetString(path)
	case reflect.Int, reflect.Int64:
		v.SetInt(int64(n.next(path)))
	case reflect.Uint64:
		v.SetUint(uint64(n.next(path)))
	case reflect.Bool:
		v.SetBool(true) // 1: TestFailed
	default:
		panic(fmt.Sprint("a counter of kind ", v.Kind()))
	}
}

// filled returns a function that gives a T in which all numbers are different.
func filled[T any](n *numbers) func() T {
	var v T
	n.fill(reflect.ValueOf(&v).Elem(), reflect.TypeFor[T]().String())
	return func() T { return v }
}

// full is a server that has all there is.
func full(n *numbers) admin.Config {
	used, limit, nodes := n.next("disk used"), n.next("disk limit"), n.next("DHT nodes")
	return admin.Config{
		Version:     "1.2",
		Communities: []admin.Community{{Name: "reddit", Store: filled[store.Counters](n), Folders: filled[ipfs.FolderCounters](n)}},
		Disk:        func() (int64, int64) { return int64(used), int64(limit) },
		API:         filled[api.Counters](n),
		Node:        filled[ipfs.NodeCounters](n),
		Replica:     filled[replica.Counters](n),
		Book:        filled[discover.BookCounters](n),
		DHTNodes:    func() int { return nodes },
		Tracker:     filled[discover.TrackerCounters](n),
		RTC:         filled[discover.RTCCounters](n),
	}
}

func scrape(t testing.TB, cfg admin.Config) []byte {
	t.Helper()
	w := httptest.NewRecorder()
	admin.New(cfg).Handler(false).ServeHTTP(w, httptest.NewRequest("GET", "/metrics", nil))
	if w.Code != http.StatusOK {
		t.Fatalf("%d: %s", w.Code, w.Body)
	}
	return w.Body.Bytes()
}

// values are the values of our metrics, and the sums of histograms, by their
// families' names.
func values(t testing.TB, exposition []byte) map[string][]float64 {
	t.Helper()
	parser := expfmt.NewTextParser(model.UTF8Validation)
	families, err := parser.TextToMetricFamilies(bytes.NewReader(exposition))
	if err != nil {
		t.Fatal(err)
	}
	all := map[string][]float64{}
	for name, f := range families {
		if !strings.HasPrefix(name, "comntr_") {
			continue
		}
		for _, m := range f.Metric {
			var v float64
			switch {
			case m.Counter != nil:
				v = m.Counter.GetValue()
			case m.Gauge != nil:
				v = m.Gauge.GetValue()
			case m.Histogram != nil:
				if v = m.Histogram.GetSampleSum(); m.Histogram.GetSampleCount() != 6 && m.Histogram.GetSampleCount() != 0 {
					t.Errorf("%s counts %d values, not 6", name, m.Histogram.GetSampleCount())
				}
			}
			all[name] = append(all[name], v)
		}
	}
	return all
}

// TestEachCounterIsShown: what a package counts stands in /metrics, once, and
// nothing else does.
func TestEachCounterIsShown(t *testing.T) {
	n := &numbers{map[float64]string{}}
	cfg := full(n)
	left := maps.Clone(n.of)
	for name, vs := range values(t, scrape(t, cfg)) {
		for _, v := range vs {
			if v > 1e9 {
				v /= 1e9 // a sum of bytes or of comments
			}
			switch {
			case left[v] != "":
				delete(left, v)
			case n.of[v] != "":
				t.Errorf("%s shows %s, which stands elsewhere too", name, n.of[v])
			case name != "comntr_build_info" && name != "comntr_store_failed":
				t.Errorf("%s is %v: that is no counter's", name, v)
			}
		}
	}
	for _, field := range slices.Sorted(maps.Values(left)) {
		t.Errorf("%s is shown nowhere", field)
	}
}

// TestNames holds the names to Prometheus' rules.
func TestNames(t *testing.T) {
	n := &numbers{map[float64]string{}}
	exposition := scrape(t, full(n))
	problems, err := promlint.New(bytes.NewReader(exposition)).Lint()
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	for _, want := range []string{"go_goroutines ", "go_gc_duration_seconds_count ", "comntr_build_info{version=\"1.2\"} 1\n", "comntr_store_failed{community=\"reddit\"} 1\n"} {
		if !bytes.Contains(exposition, []byte(want)) {
			t.Errorf("no %s", want)
		}
	}
	// A value that is not a number would hide what is wrong.
	for name, vs := range values(t, exposition) {
		if slices.ContainsFunc(vs, math.IsNaN) {
			t.Errorf("%s is not a number", name)
		}
	}
}

// TestNothing: parts that a server has not are no error.
func TestNothing(t *testing.T) {
	if vs := values(t, scrape(t, admin.Config{})); !slices.Equal(vs["comntr_dht_nodes"], []float64{0}) {
		t.Errorf("%v", vs)
	}
}

// TestStrangersPages: a page in the operator's browser, of whatever site, gets
// nothing from loopback.
func TestStrangersPages(t *testing.T) {
	h := admin.New(admin.Config{})
	for _, c := range []struct {
		host, site        string
		loopback, outside int
	}{
		{"127.0.0.1:4085", "", 200, 200},
		{"127.0.0.1", "", 200, 200},
		{"[::1]:4085", "", 200, 200},
		{"localhost:4085", "none", 200, 200},
		{"localhost", "same-origin", 200, 200},
		{"rebound.example:4085", "", 403, 200}, // DNS rebinding: a name of theirs that leads here
		{"10.0.0.1:4085", "", 403, 200},
		{"", "", 403, 200},
		{"localhost:4085", "cross-site", 403, 200},
		{"127.0.0.1:4085", "same-site", 403, 200},
	} {
		for onLoopback, want := range map[bool]int{true: c.loopback, false: c.outside} {
			r := httptest.NewRequest("GET", "/", nil)
			r.Host = c.host
			if c.site != "" {
				r.Header.Set("Sec-Fetch-Site", c.site)
			}
			w := httptest.NewRecorder()
			h.Handler(onLoopback).ServeHTTP(w, r)
			if w.Code != want {
				t.Errorf("host %q, site %q, on loopback %v: %d, want %d", c.host, c.site, onLoopback, w.Code, want)
			}
		}
	}
}

func TestPrivate(t *testing.T) {
	for address, want := range map[string]bool{
		"127.0.0.1:1": true, "[::1]:1": true, "127.9.9.9:1": true, "[::ffff:127.0.0.1]:1": true,
		"0.0.0.0:1": false, "[::]:1": false, "10.0.0.1:1": false, "192.0.2.1:1": false,
	} {
		a, err := net.ResolveTCPAddr("tcp", address)
		if err != nil {
			t.Fatal(err)
		}
		if got := admin.Private(a); got != want {
			t.Errorf("%s: %v", address, got)
		}
	}
}

// TestServe: a stop does not wait for a profile that somebody takes, and no
// counter is read after it.
func TestServe(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(t.Context())
	served := make(chan error, 1)
	go func() { served <- admin.New(admin.Config{}).Serve(ctx, l) }()
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	get := func(path string) (int, string) {
		r, err := client.Get("http://" + l.Addr().String() + path)
		if err != nil {
			return 0, err.Error()
		}
		defer r.Body.Close()
		b, err := io.ReadAll(r.Body)
		if err != nil {
			return 0, err.Error()
		}
		return r.StatusCode, string(b)
	}
	for path, want := range map[string]struct {
		status int
		text   string
	}{
		"/":                                 {200, "/metrics"},
		"/metrics":                          {200, "comntr_build_info"},
		"/debug/pprof/":                     {200, "goroutine"},
		"/debug/pprof/goroutine?debug=1":    {200, "TestServe"},
		"/debug/pprof/profile?seconds=3600": {400, "at most 300"},
		"/debug/pprof/trace?seconds=NaN":    {400, "at most 300"},
		"/debug/pprof/heap?seconds=301":     {400, "at most 300"},
		"/debug/pprof/nothing":              {404, "Unknown profile"},
		"/nothing":                          {404, ""},
	} {
		if status, text := get(path); status != want.status || !strings.Contains(text, want.text) {
			t.Errorf("%s: %d %.200q, want %d and %q", path, status, text, want.status, want.text)
		}
	}
	profile := make(chan struct{})
	go func() { get("/debug/pprof/trace?seconds=100"); close(profile) }()
	for under := false; !under; {
		_, stacks := get("/debug/pprof/goroutine?debug=2")
		under = strings.Contains(stacks, "pprof.Trace(")
	}
	start := time.Now()
	stop()
	if err := <-served; err != nil {
		t.Error(err)
	}
	<-profile
	if took := time.Since(start); took > 30*time.Second {
		t.Errorf("it took %s to stop", took)
	}
}

package main

import (
	"os"
	"runtime"
	"runtime/debug"
	"runtime/metrics"
)

const (
	// gcPercent is a fifth less memory than Go's own choice, for some percent of a
	// busy server's time: it is to fit beside other things at home.
	gcPercent = 70
	// smallHeap, in bytes, is what a heap may come to before it is collected,
	// however little of it is in use: that of a small server would be collected
	// thirty times a second.
	smallHeap = 45 << 20
)

// paceGC sets after each collection how far the heap may grow until the next. An
// operator's GOGC is left alone.
func paceGC() {
	if os.Getenv("GOGC") != "" {
		return
	}
	debug.SetGCPercent(gcPercent)
	watchGC(gcPercent)
}

// watchGC has the next collection, which finds nobody using what is made here,
// look at what is in use.
func watchGC(percent int) {
	runtime.AddCleanup(new([64]byte), func(percent int) {
		live := []metrics.Sample{{Name: "/gc/heap/live:bytes"}}
		metrics.Read(live)
		if p := growth(live[0].Value.Uint64()); p < percent*9/10 || p > percent*11/10 {
			percent = p
			debug.SetGCPercent(percent)
		}
		watchGC(percent)
	}, percent)
}

// growth is by how many percent a heap with so many bytes in use may grow.
func growth(live uint64) int {
	if live = max(live, 1<<20); live >= smallHeap {
		return gcPercent
	}
	return max(gcPercent, int((smallHeap-live)*100/live))
}

package main

import (
	"os"
	"runtime"
)

// oneMore has one goroutine more run at a time than there are cores: who makes files
// or waits for the disk to sync takes the place of one for as long as the system
// call lasts, and a small machine has two. An operator's GOMAXPROCS is left alone.
func oneMore() {
	if os.Getenv("GOMAXPROCS") == "" {
		runtime.GOMAXPROCS(runtime.GOMAXPROCS(0) + 1)
	}
}

package main

import (
	"runtime"
	"testing"
)

func TestOneMore(t *testing.T) {
	before := runtime.GOMAXPROCS(0)
	defer runtime.GOMAXPROCS(before)
	t.Setenv("GOMAXPROCS", "7")
	if oneMore(); runtime.GOMAXPROCS(0) != before {
		t.Error("an operator's number was changed")
	}
	t.Setenv("GOMAXPROCS", "")
	if oneMore(); runtime.GOMAXPROCS(0) != before+1 {
		t.Errorf("of %d it made %d", before, runtime.GOMAXPROCS(0))
	}
}

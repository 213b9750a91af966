package main

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// TestE2EMakeBench runs the program of `make bench` at a thousandth of its size,
// so that it does not rot; what it finds is not looked at.
func TestE2EMakeBench(t *testing.T) {
	e2e(t)
	needs(t, "go")
	program := filepath.Join(t.TempDir(), "bench")
	build := exec.Command("go", "build", "-o", program, "../../bench")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	data := filepath.Join(t.TempDir(), "data")
	cmd := exec.Command(program, "-comntr", self, "-scale", "0.001", "-runs", "1", "-data", data)
	cmd.Env = append(os.Environ(), asMain+"=1") // what it starts is this binary
	var stdout, stderr strings.Builder
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, &stdout, &stderr)
	}
	for _, row := range []string{"durable posts/s", "p99", "`GET /<topic>` unchanged", "304", "new folder id", "CAR", "resident memory", "anonymous", "start with", "kill -9",
		"disk beyond", "growth", "first copy", "catching up", "idle", "beside another"} {
		if !strings.Contains(stdout.String(), row) {
			t.Errorf("no row %q in\n%s", row, &stdout)
		}
	}
	if t.Failed() {
		t.Log(stderr.String())
	}
}

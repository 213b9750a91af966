// Command bench measures a server as its operators and readers have it: the
// built program, in a process of its own, on loopback, with as many comments as
// a large community has. It prints the table of docs/performance.md.
//
//	go run ./bench -comntr bin/comntr [-only 1,2,7] [-scale 0.01] [-data DIR]
//
// Where two things are compared, both are measured in the same run, in turns:
// speeds of shared machines differ by a third between hours, ratios do not. The
// generator of load shares the cores with what it measures, so it makes no
// garbage and has one thread; servers are compared by net/http's client, too.
//
// What it fills with comments stays until the end: after a mass deletion some
// file systems create files at a tenth of their pace for minutes. It needs Linux,
// for /proc, and at full scale 20 GB of disk.
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"
)

func main() {
	if len(os.Args) == 2 && os.Args[1] == bareCommand {
		os.Exit(exit(os.Stderr, bare(os.Stdout)))
	}
	// One thread is enough for all the load that two cores can serve, and takes
	// the least from them.
	runtime.GOMAXPROCS(1)
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	os.Exit(exit(os.Stderr, run(ctx, os.Args[1:], os.Stdout, os.Stderr)))
}

func exit(stderr io.Writer, err error) int {
	switch {
	case err == nil, errors.Is(err, flag.ErrHelp):
		return 0
	}
	fmt.Fprintln(stderr, "bench:", err)
	return 1
}

// bench is one run.
type bench struct {
	ctx    context.Context
	comntr string // the program
	self   string // this one, which is the bare server too
	data   string
	scale  float64
	runs   int
	profs  string // a folder for CPU profiles of the servers, or ""
	log    io.Writer
	table  *table

	sets    map[string]*set
	rate    float64 // posts a second that were found
	renewed int     // how often posts were given new topics
	posts   uint64  // numbers of comments that were given out
	run     string  // of this run's comments
	alive   []*process
}

// rows are those of the table, in its order.
var rows = []struct {
	name string
	fn   func(*bench) error
}{
	{"posts", (*bench).measurePosts},
	{"post-p99", (*bench).measurePostTimes},
	{"get", (*bench).measureGets},
	{"id", (*bench).measureIDs},
	{"car", (*bench).measureCARs},
	{"disk", (*bench).measureDisk}, // before those that post to the same server
	{"memory", (*bench).measureMemory},
	{"start", (*bench).measureStarts},
	{"copy", (*bench).measureCopy},
	{"catch-up", (*bench).measureCatchUp},
	{"idle", (*bench).measureIdle},
}

func run(ctx context.Context, args []string, stdout, stderr io.Writer) (err error) {
	b := &bench{ctx: ctx, log: stderr, table: &table{}, sets: map[string]*set{}, run: strconv.FormatInt(time.Now().UnixNano(), 36)}
	flags := flag.NewFlagSet("bench", flag.ContinueOnError)
	flags.SetOutput(stderr)
	flags.StringVar(&b.comntr, "comntr", "bin/comntr", "the `program` to measure")
	only := flags.String("only", "", "the `rows` to measure, as numbers or names, with commas between: "+names())
	flags.Float64Var(&b.scale, "scale", 1, "a `part` of all sizes and times, such as 0.01: to see that it runs, or for a small disk")
	flags.IntVar(&b.runs, "runs", 5, "how often each thing is measured")
	flags.StringVar(&b.data, "data", "", "a `folder` for data, which stays there and is used again; else bin/bench, which is removed at the end")
	flags.StringVar(&b.profs, "profile", "", "a `folder` for CPU profiles of the servers while they are measured: it costs some of their speed")
	if err := flags.Parse(args); err != nil {
		return err
	}
	switch {
	case flags.NArg() > 0:
		return fmt.Errorf("%q is no flag: -h lists them", flags.Arg(0))
	case b.scale <= 0 || b.scale > 1:
		return errors.New("-scale: more than 0, at most 1")
	case b.runs < 1:
		return errors.New("-runs: at least 1")
	}
	chosen, err := choose(*only)
	if err != nil {
		return err
	}
	if b.comntr, err = filepath.Abs(b.comntr); err != nil {
		return err
	}
	if _, err := os.Stat(b.comntr); err != nil {
		return fmt.Errorf("-comntr: %w; make build makes it", err)
	}
	if b.self, err = os.Executable(); err != nil {
		return err
	}
	if b.data == "" {
		b.data = filepath.Join("bin", "bench")
		defer func() { err = errors.Join(err, os.RemoveAll(b.data)) }()
	}
	for _, dir := range []string{b.data, b.profs} {
		if dir == "" {
			continue
		}
		if err := os.MkdirAll(dir, 0o777); err != nil {
			return err
		}
	}
	defer b.killAll()
	b.table.introduce(strings.Join(append([]string{"go run ./bench"}, args...), " "))
	for _, i := range chosen {
		b.say("%d %s", i+1, rows[i].name)
		if err := rows[i].fn(b); err != nil {
			// What was measured before took long, and still counts.
			return errors.Join(fmt.Errorf("%s: %w", rows[i].name, err), b.table.write(stdout, b.scale))
		}
	}
	return b.table.write(stdout, b.scale)
}

func names() string {
	var all []string
	for i, r := range rows {
		all = append(all, fmt.Sprintf("%d %s", i+1, r.name))
	}
	return strings.Join(all, ", ")
}

// choose reads -only.
func choose(only string) ([]int, error) {
	var chosen []int
	for i, r := range rows {
		if only == "" || slices.Contains(strings.Split(only, ","), r.name) || slices.Contains(strings.Split(only, ","), strconv.Itoa(i+1)) {
			chosen = append(chosen, i)
		}
	}
	for word := range strings.SplitSeq(only, ",") {
		known := only == ""
		for i, r := range rows {
			known = known || word == r.name || word == strconv.Itoa(i+1)
		}
		if !known {
			return nil, fmt.Errorf("-only: there is no row %q: %s", word, names())
		}
	}
	return chosen, nil
}

// n scales a number, and never to nothing.
func (b *bench) n(full int) int { return max(1, int(float64(full)*b.scale)) }

// span scales a time to no less than what can be measured.
func (b *bench) span(full time.Duration) time.Duration {
	return max(200*time.Millisecond, time.Duration(float64(full)*b.scale))
}

func (b *bench) say(format string, args ...any) {
	fmt.Fprintf(b.log, time.Now().Format("15:04:05 ")+format+"\n", args...)
}

// wait waits, or returns why the run ends.
func (b *bench) wait(d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-t.C:
		return nil
	case <-b.ctx.Done():
		return context.Cause(b.ctx)
	}
}

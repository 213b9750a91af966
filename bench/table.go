package main

import (
	"bufio"
	"fmt"
	"io"
	"os"
	"runtime"
	"slices"
	"strconv"
	"strings"
	"time"
)

// unit says how a figure is written.
type unit int

const (
	perSecond unit = iota
	seconds        // of a duration
	size           // bytes
	ratio
	percent
)

func (u unit) write(v float64) string {
	switch u {
	case perSecond:
		return thousands(v)
	case seconds:
		switch {
		case v < 0.01:
			return fmt.Sprintf("%.2f ms", v*1e3)
		case v < 1:
			return fmt.Sprintf("%.1f ms", v*1e3)
		}
		return fmt.Sprintf("%.2f s", v)
	case size:
		switch {
		case v < 10_000:
			return fmt.Sprintf("%.0f B", v)
		case v < 1e6:
			return fmt.Sprintf("%.0f kB", v/1e3)
		}
		return fmt.Sprintf("%.1f MB", v/1e6)
	case percent:
		return fmt.Sprintf("%.2f %%", v*100)
	default:
		return fmt.Sprintf("%.2f", v)
	}
}

func thousands(v float64) string {
	s := strconv.FormatFloat(v, 'f', 0, 64)
	for i := len(s) - 3; i > 0; i -= 3 {
		s = s[:i] + "," + s[i:]
	}
	return s
}

// median is the middle one, of an even number the higher of the middle two.
func median(values []float64) float64 {
	return slices.Sorted(slices.Values(values))[len(values)/2]
}

// quantile is the value within which that part of all are.
func quantile(times []time.Duration, part float64) float64 {
	s := slices.Sorted(slices.Values(times))
	return s[min(len(s)-1, int(part*float64(len(s))))].Seconds()
}

// bound is what a figure is to reach; the zero bound is none.
type bound struct {
	value   float64
	atLeast bool
}

func atMost(v float64) bound  { return bound{v, false} }
func atLeast(v float64) bound { return bound{v, true} }

// verdict says in words whether a figure reaches its bound.
func (b bound) verdict(v float64) string {
	by := v / b.value
	switch {
	case b.value == 0:
		return ""
	case b.atLeast:
		by = b.value / v
	}
	if by <= 1 {
		return "reached"
	}
	return fmt.Sprintf("missed: %.2f times too %s", by, map[bool]string{true: "little", false: "much"}[b.atLeast])
}

// table is what is printed at the end.
type table struct {
	began   time.Time
	command string
	lines   []string
}

func (t *table) introduce(command string) { t.began, t.command = time.Now(), command }

// add adds a line: values are of all runs, beside are remarks on them.
func (t *table) add(what string, to bound, u unit, values []float64, beside ...string) {
	v := median(values)
	reach, spread := "", ""
	if to.value != 0 {
		reach = map[bool]string{true: "at least ", false: "under "}[to.atLeast] + u.write(to.value)
	}
	if len(values) > 1 {
		spread = fmt.Sprintf("%s to %s (%d)", u.write(slices.Min(values)), u.write(slices.Max(values)), len(values))
	}
	t.lines = append(t.lines, fmt.Sprintf("| %s | %s | %s | %s | %s | %s |", what, reach, u.write(v), spread, strings.Join(beside, "; "), to.verdict(v)))
}

func (t *table) write(w io.Writer, scale float64) error {
	out := bufio.NewWriter(w)
	fmt.Fprintf(out, "%s, %s. %s; `%s`, %s in all.\n\n", t.began.UTC().Format("2006-01-02"), machine(), runtime.Version(), t.command, time.Since(t.began).Round(time.Second))
	if scale != 1 {
		fmt.Fprintf(out, "Sizes and times are a part of the full ones: %g. What is to be reached is meant for the full ones.\n\n", scale)
	}
	fmt.Fprintln(out, "| what | to reach | median | all runs | beside | verdict |\n|---|---|---|---|---|---|")
	for _, l := range t.lines {
		fmt.Fprintln(out, l)
	}
	return out.Flush()
}

// machine says what this one is.
func machine() string {
	model, memory := runtime.GOARCH, ""
	if b, err := os.ReadFile("/proc/cpuinfo"); err == nil {
		for line := range strings.Lines(string(b)) {
			if k, v, ok := strings.Cut(line, ":"); ok && strings.TrimSpace(k) == "model name" {
				model = strings.TrimSpace(v)
				break
			}
		}
	}
	if b, err := os.ReadFile("/proc/meminfo"); err == nil {
		if f := strings.Fields(string(b)); len(f) > 1 {
			memory = fmt.Sprintf(", %.0f GB of memory", float64(digits([]byte(f[1])))/1e6)
		}
	}
	kernel, _ := os.ReadFile("/proc/sys/kernel/osrelease")
	return fmt.Sprintf("%d cores (%s)%s, Linux %s", runtime.NumCPU(), model, memory, strings.TrimSpace(string(kernel)))
}

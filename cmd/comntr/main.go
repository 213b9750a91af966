// Command comntr is the whole network in one binary: a server that keeps
// comments and gives them to everyone (serve), a client for the terminal
// (post, get, servers), and the tools around them.
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"os"
	"os/signal"
	"strings"
	"syscall"

	"github.com/alecthomas/kong"
	"github.com/dustin/go-humanize"
)

// Exit codes: the contract with scripts.
const (
	exitOK       = 0
	exitFailed   = 1 // something failed, or check found damage
	exitUsage    = 2
	exitNoServer = 3 // no server was found
)

// errNoServer makes the process exit with exitNoServer.
var errNoServer = errors.New("no server found")

// errUsage is wrapped by what a person can mend on the command line.
var errUsage = errors.New("usage")

type cli struct {
	LogLevel slog.Level `help:"Least level that is logged: debug, info, warn or error." default:"info"`

	Serve   serveCmd   `cmd:"" help:"Run a server: keep comments, publish them on IPFS, announce it on the DHT."`
	Demo    demoCmd    `cmd:"" help:"Run three servers on this machine and walk through what the network does."`
	Post    postCmd    `cmd:"" help:"Post a comment to a topic."`
	Get     getCmd     `cmd:"" help:"Print a topic's folder id and its comments, verified."`
	Key     keyCmd     `cmd:"" help:"Make, show, export and import the keys that sign your comments."`
	Mod     modCmd     `cmd:"" help:"Moderate: keep a list of what to hide, pin and lock and whom to ban, for whoever reads with it."`
	Import  importCmd  `cmd:"" help:"Bring in what other networks' folders hold."`
	Servers serversCmd `cmd:"" help:"Find servers and print their URL, key and latency."`
	Page    pageCmd    `cmd:"" help:"Write the page into a folder for any static host: your own client in a minute."`
	ID      idCmd      `cmd:"" name:"id" help:"Print the SHA-1 that stands for a name."`
	Bench   benchCmd   `cmd:"" help:"Measure how fast a server is: your own, for what it posts stays there."`
	Check   checkCmd   `cmd:"" help:"Re-hash every comment on disk and recompute every folder id; the server must be stopped."`
	Forget  forgetCmd  `cmd:"" help:"Remove and deny what one server brought; the server must be stopped."`
	Version versionCmd `cmd:"" help:"Print the version."`
}

// env is what a subcommand gets besides its flags.
type env struct {
	ctx    context.Context
	stdin  io.Reader
	stdout io.Writer
	stderr io.Writer
	log    *slog.Logger
	// quiet is for nodes that a command runs in passing: what they do is no
	// news unless something is wrong, or debugging was asked for.
	quiet *slog.Logger
}

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	defer stop()
	context.AfterFunc(ctx, stop) // a second signal ends the process at once
	os.Exit(run(ctx, os.Args[1:], os.Stdin, os.Stdout, os.Stderr))
}

// run is main without the process: it returns the exit code.
func run(ctx context.Context, args []string, stdin io.Reader, stdout, stderr io.Writer) int {
	var c cli
	exited := -1
	parser, err := kong.New(&c,
		kong.Name("comntr"),
		kong.Description("Comments that nobody can take down."),
		kong.Writers(stdout, stderr),
		kong.Exit(func(code int) {
			if exited < 0 {
				exited = code
			}
		}),
		kong.DefaultEnvars("COMNTR"),
		kong.ConfigureHelp(kong.HelpOptions{Compact: true}),
	)
	if err != nil {
		fmt.Fprintf(stderr, "comntr: %v\n", err)
		return exitFailed
	}
	if len(args) == 0 {
		args = []string{"--help"}
	}
	k, err := parser.Parse(args)
	if exited >= 0 { // --help
		return exited
	}
	if err != nil {
		fmt.Fprintf(stderr, "comntr: %v\nTry: comntr --help\n", err)
		return exitUsage
	}
	logger := func(least slog.Level) *slog.Logger {
		return slog.New(slog.NewTextHandler(stderr, &slog.HandlerOptions{Level: least}))
	}
	quiet := c.LogLevel
	if quiet == slog.LevelInfo {
		quiet = slog.LevelWarn
	}
	err = k.Run(&env{ctx, stdin, stdout, stderr, logger(c.LogLevel), logger(quiet)})
	switch {
	case err == nil:
		return exitOK
	case errors.Is(err, errUsage):
		fmt.Fprintf(stderr, "comntr: %v\n", err)
		return exitUsage
	case errors.Is(err, errNoServer):
		fmt.Fprintf(stderr, "comntr: %v\n", err)
		return exitNoServer
	}
	fmt.Fprintf(stderr, "comntr: %v\n", err)
	return exitFailed
}

// size is a number of bytes on the command line: 65536, 64KiB, 10GB.
type size int64

func (s *size) UnmarshalText(b []byte) error {
	n, err := humanize.ParseBytes(string(b))
	if err != nil || n > 1<<62 {
		return fmt.Errorf("%q is no size: write 65536, 64KiB or 10GB", b)
	}
	*s = size(n)
	return nil
}

// off turns the value "none" of a list into an empty, non-nil list; nil stays
// the default.
func off(list []string) []string {
	if len(list) == 1 && list[0] == "none" {
		return []string{}
	}
	return list
}

// printable takes what could steer a terminal out of text of strangers.
func printable(s string) string {
	return strings.Map(func(r rune) rune {
		switch {
		case r == '\n' || r == '\t':
			return r
		case r < 0x20, r >= 0x7f && r < 0xa0, // C0, DEL, C1
			r == 0x61c, r == 0x200e, r == 0x200f, // bidirectional marks
			r >= 0x2028 && r <= 0x202e, r >= 0x2066 && r <= 0x2069: // separators of lines, bidirectional overrides
			return '\ufffd'
		}
		return r
	}, s)
}

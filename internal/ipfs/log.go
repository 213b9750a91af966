package ipfs

import (
	"context"
	"fmt"
	"log/slog"

	golog "github.com/ipfs/go-log/v2"
	"github.com/libp2p/go-libp2p/gologshim"
	"go.uber.org/zap/zapcore"
)

// maxDetail bounds what a library's message brings into our log, in bytes:
// parts of it come from peers.
const maxDetail = 300

// BridgeLogs sends what libp2p, boxo and the DHT log to log instead of to
// standard error: their errors as warnings, for theirs are what peers did, and
// their warnings as debug lines. It is for main, once, before the first Node:
// those libraries have one logger for the whole process.
func BridgeLogs(log *slog.Logger) {
	h := libraries{log.Handler()}
	gologshim.SetDefaultHandler(h)
	golog.SetPrimaryCore(core{h})
	golog.SetAllLoggers(golog.LevelWarn)
}

// libraries is the slog.Handler of libp2p's packages.
type libraries struct{ next slog.Handler }

func ours(l slog.Level) slog.Level {
	switch {
	case l >= slog.LevelError:
		return slog.LevelWarn
	case l >= slog.LevelWarn:
		return slog.LevelDebug
	}
	return slog.LevelDebug - 4
}

// Enabled reports whether a library's line of that level is taken.
func (h libraries) Enabled(ctx context.Context, l slog.Level) bool {
	return l >= slog.LevelWarn && h.next.Enabled(ctx, ours(l))
}

// Handle logs r under a message of its own.
func (h libraries) Handle(ctx context.Context, r slog.Record) error {
	out := slog.NewRecord(r.Time, ours(r.Level), "a library of the IPFS node says", 0)
	out.AddAttrs(slog.String("detail", clip(r.Message)))
	r.Attrs(func(a slog.Attr) bool {
		out.AddAttrs(slog.String(a.Key, clip(a.Value.String())))
		return true
	})
	return h.next.Handle(ctx, out)
}

// WithAttrs returns a handler that adds attrs to each line.
func (h libraries) WithAttrs(attrs []slog.Attr) slog.Handler {
	return libraries{h.next.WithAttrs(attrs)}
}

// WithGroup returns a handler that puts attributes into a group.
func (h libraries) WithGroup(name string) slog.Handler { return libraries{h.next.WithGroup(name)} }

// core is the zap core of boxo and the DHT: the same handler.
type core struct{ h slog.Handler }

func (c core) Enabled(l zapcore.Level) bool { return c.h.Enabled(context.Background(), slogLevel(l)) }

func (c core) With(fields []zapcore.Field) zapcore.Core { return core{c.h.WithAttrs(attrs(fields))} }

func (c core) Check(e zapcore.Entry, ce *zapcore.CheckedEntry) *zapcore.CheckedEntry {
	if c.Enabled(e.Level) {
		return ce.AddCore(e, c)
	}
	return ce
}

func (c core) Write(e zapcore.Entry, fields []zapcore.Field) error {
	r := slog.NewRecord(e.Time, slogLevel(e.Level), e.Message, 0)
	r.AddAttrs(slog.String("logger", e.LoggerName))
	r.AddAttrs(attrs(fields)...)
	return c.h.Handle(context.Background(), r)
}

func (core) Sync() error { return nil }

func slogLevel(l zapcore.Level) slog.Level {
	switch {
	case l >= zapcore.ErrorLevel:
		return slog.LevelError
	case l == zapcore.WarnLevel:
		return slog.LevelWarn
	case l == zapcore.InfoLevel:
		return slog.LevelInfo
	}
	return slog.LevelDebug
}

func attrs(fields []zapcore.Field) []slog.Attr {
	enc := zapcore.NewMapObjectEncoder()
	for _, f := range fields {
		f.AddTo(enc)
	}
	out := make([]slog.Attr, 0, len(enc.Fields))
	for k, v := range enc.Fields {
		out = append(out, slog.String(k, clip(fmt.Sprint(v))))
	}
	return out
}

func clip(s string) string {
	if len(s) > maxDetail {
		return s[:maxDetail] + "…"
	}
	return s
}

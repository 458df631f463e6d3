package main

import (
	"io"
	"log/slog"
	"strings"

	"google.golang.org/grpc/grpclog"
)

// newLog writes JSON lines in the form of the server's: time, level, event, then what belongs to the event.
func newLog(out io.Writer, level slog.Level) *slog.Logger {
	return slog.New(slog.NewJSONHandler(out, &slog.HandlerOptions{
		Level: level,
		ReplaceAttr: func(groups []string, a slog.Attr) slog.Attr {
			if len(groups) > 0 {
				return a
			}
			switch a.Key {
			case slog.TimeKey:
				return slog.String("time", a.Value.Time().UTC().Format("2006-01-02T15:04:05.000Z"))
			case slog.LevelKey:
				return slog.String("level", levelName(a.Value.Any().(slog.Level)))
			case slog.MessageKey:
				return slog.String("event", a.Value.String())
			}
			return a
		},
	}))
}

func levelName(level slog.Level) string {
	if level == slog.LevelWarn {
		return "warning"
	}
	return strings.ToLower(level.String())
}

// libraryLog is where a library writes its lines to: they become the "message" of one event, cut, as they may quote
// what a stranger sent.
type libraryLog struct {
	log   *slog.Logger
	event string
}

func (l libraryLog) Write(line []byte) (int, error) {
	l.log.Warn(l.event, "message", cut(strings.TrimSpace(string(line)), 300))
	return len(line), nil
}

func logGRPCTo(log *slog.Logger) {
	grpclog.SetLoggerV2(grpclog.NewLoggerV2(io.Discard, io.Discard, libraryLog{log, "grpc"}))
}

// cut shortens the text to at most `most` bytes, between characters.
func cut(text string, most int) string {
	if len(text) <= most {
		return text
	}
	return strings.ToValidUTF8(text[:most], "") + "…"
}

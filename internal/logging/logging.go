// Package logging writes logs that are safe to read, whatever was logged: each
// record on one line, with nothing in it that is not there to be seen, and no
// token.
//
// Both formats need it. Text escapes what a terminal would act on but shows
// tokens as they are; JSON passes right-to-left overrides and invisible
// characters through to whoever prints it.
package logging

import (
	"context"
	"fmt"
	"io"
	"log/slog"

	"github.com/kenbun/kenbun-mcp/internal/plaintext"
	"github.com/kenbun/kenbun-mcp/internal/redact"
)

// Format is how records are written.
type Format string

// The formats.
const (
	// Text is key=value pairs, for people.
	Text Format = "text"
	// JSON is an object for each record, for collectors.
	JSON Format = "json"
)

// maxRunes bounds one value; the stack of a panic fits.
const maxRunes = 16 << 10

// New returns a logger that writes to w what is of level or above. A format that
// is neither [Text] nor [JSON] is an error.
func New(w io.Writer, format Format, level slog.Leveler) (*slog.Logger, error) {
	options := &slog.HandlerOptions{Level: level}
	switch format {
	case Text:
		return slog.New(Clean(slog.NewTextHandler(w, options))), nil
	case JSON:
		return slog.New(Clean(slog.NewJSONHandler(w, options))), nil
	}
	return nil, fmt.Errorf("logs cannot be written as %q; use text or json", format)
}

// Clean returns a handler that hands records on to next with their messages and
// values cleaned: without control, bidirectional and invisible characters, on one
// line, and with tokens cut off after their public prefix. Values that are neither
// numbers nor times are written as text.
//
// It is the last net. Nothing should count on it: it knows only the tokens that
// look like kenbun's.
func Clean(next slog.Handler) slog.Handler { return cleaner{next} }

type cleaner struct{ next slog.Handler }

func (c cleaner) Enabled(ctx context.Context, level slog.Level) bool {
	return c.next.Enabled(ctx, level)
}

func (c cleaner) Handle(ctx context.Context, record slog.Record) error {
	cleaned := slog.NewRecord(record.Time, record.Level, cleanText(record.Message), record.PC)
	record.Attrs(func(attr slog.Attr) bool {
		cleaned.AddAttrs(cleanAttr(attr))
		return true
	})
	return c.next.Handle(ctx, cleaned)
}

func (c cleaner) WithAttrs(attrs []slog.Attr) slog.Handler {
	return cleaner{c.next.WithAttrs(cleanAttrs(attrs))}
}

func (c cleaner) WithGroup(name string) slog.Handler {
	return cleaner{c.next.WithGroup(cleanText(name))}
}

func cleanAttrs(attrs []slog.Attr) []slog.Attr {
	cleaned := make([]slog.Attr, len(attrs))
	for i, attr := range attrs {
		cleaned[i] = cleanAttr(attr)
	}
	return cleaned
}

func cleanAttr(attr slog.Attr) slog.Attr {
	return slog.Attr{Key: cleanText(attr.Key), Value: cleanValue(attr.Value.Resolve())}
}

func cleanValue(value slog.Value) slog.Value {
	switch value.Kind() {
	case slog.KindString:
		return slog.StringValue(cleanText(value.String()))
	case slog.KindGroup:
		return slog.GroupValue(cleanAttrs(value.Group())...)
	case slog.KindAny:
		if value.Any() == nil {
			return value
		}
		// Encoded by its own rules, a value could bring in anything.
		return slog.StringValue(cleanText(fmt.Sprintf("%+v", value.Any())))
	}
	return value
}

// With returns a logger whose records carry args, like [slog.Logger.With]. The work of
// adding them is left to the records that are written, which suits the logger of a call
// that usually logs nothing.
func With(logger *slog.Logger, args ...any) *slog.Logger {
	return slog.New(lazy{logger.Handler(), args})
}

type lazy struct {
	next slog.Handler
	args []any
}

func (l lazy) Enabled(ctx context.Context, level slog.Level) bool {
	return l.next.Enabled(ctx, level)
}

func (l lazy) Handle(ctx context.Context, record slog.Record) error {
	return l.handler().Handle(ctx, record)
}

func (l lazy) WithAttrs(attrs []slog.Attr) slog.Handler { return l.handler().WithAttrs(attrs) }

func (l lazy) WithGroup(name string) slog.Handler { return l.handler().WithGroup(name) }

func (l lazy) handler() slog.Handler { return slog.New(l.next).With(l.args...).Handler() }

// cleanText cleans before it redacts, so that nothing invisible can break up a
// token.
func cleanText(text string) string {
	return redact.Secrets(plaintext.Clean(text, maxRunes))
}

package credential_test

import (
	"context"
	"crypto/rand"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/credential"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/marks"
)

func newPAT() string { return "kbn_pat_" + strings.ToLower(rand.Text()+rand.Text()) }

func newSource(t *testing.T, config credential.Config) *credential.Source {
	t.Helper()
	source, err := credential.New(config)
	if err != nil {
		t.Fatal(err)
	}
	return source
}

// gives fails the test unless the source gives pat from place.
func gives(t *testing.T, source *credential.Source, pat, place string) client.Credential {
	t.Helper()
	got, from, err := source.Credential(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	if got.PAT.Reveal() != pat || from != place {
		t.Errorf("another token than expected, from %q, want it from %q", from, place)
	}
	return got
}

// refuses fails the test unless the source fails in words that hold word, and
// nothing of what is secret.
func refuses(t *testing.T, source *credential.Source, word string, secret ...string) {
	t.Helper()
	got, _, err := source.Credential(t.Context())
	if err == nil {
		t.Fatalf("no error, want one with %q", word)
	}
	if !got.PAT.IsZero() || !got.Session.IsZero() {
		t.Error("a token came with the error")
	}
	if !strings.Contains(err.Error(), word) {
		t.Errorf("the error does not say %q: %v", word, err)
	}
	for _, s := range secret {
		if s != "" && strings.Contains(err.Error(), s) {
			t.Error("the error holds what is secret")
		}
	}
}

func fileWith(t *testing.T, content string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "token")
	write(t, path, content)
	return path
}

func write(t *testing.T, path, content string) {
	t.Helper()
	if err := os.WriteFile(path, []byte(content), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestEachPlaceGivesTheToken(t *testing.T) {
	pat := newPAT()
	gives(t, newSource(t, credential.Config{PAT: pat}), pat, "KENBUN_PAT")
	gives(t, newSource(t, credential.Config{PATFile: fileWith(t, pat)}), pat, "KENBUN_PAT_FILE")
	gives(t, newSource(t, credential.Config{PATCommand: "cat " + fileWith(t, pat)}), pat, "KENBUN_PAT_COMMAND")
	got, place, err := credential.Static{PAT: client.NewSecret(pat), Place: "here"}.Credential(t.Context())
	if err != nil || got.PAT.Reveal() != pat || place != "here" {
		t.Errorf("static: place %q, %v", place, err)
	}
}

func TestNoPlaceIsToldWhenATokenIsNeeded(t *testing.T) {
	source := newSource(t, credential.Config{})
	if _, _, err := source.Credential(t.Context()); !errors.Is(err, credential.ErrNone) {
		t.Errorf("got %v", err)
	}
	refuses(t, source, "set KENBUN_PAT, KENBUN_PAT_FILE or KENBUN_PAT_COMMAND")
}

func TestTwoPlacesAreRefused(t *testing.T) {
	pat := newPAT()
	for want, config := range map[string]credential.Config{
		"KENBUN_PAT and KENBUN_PAT_FILE;":                          {PAT: pat, PATFile: "f"},
		"KENBUN_PAT and KENBUN_PAT_COMMAND;":                       {PAT: pat, PATCommand: "c"},
		"KENBUN_PAT_FILE and KENBUN_PAT_COMMAND;":                  {PATFile: "f", PATCommand: "c"},
		"KENBUN_PAT and KENBUN_PAT_FILE and KENBUN_PAT_COMMAND;":   {PAT: pat, PATFile: "f", PATCommand: "c"},
		"KENBUN_SESSION_TOKEN and KENBUN_SESSION_TOKEN_FILE; keep": {Session: pat, SessionFile: "f"},
	} {
		if _, err := credential.New(config); err == nil || !strings.Contains(err.Error(), want) || strings.Contains(err.Error(), pat) {
			t.Errorf("want an error with %q, got one with %v", want, err == nil)
		}
	}
}

func TestFileIsReadAtEachUse(t *testing.T) {
	first, second := newPAT(), newPAT()
	path := fileWith(t, first)
	source := newSource(t, credential.Config{PATFile: path})
	gives(t, source, first, "KENBUN_PAT_FILE")
	write(t, path, second)
	gives(t, source, second, "KENBUN_PAT_FILE")
	// As secret stores do it: by a new file in the old one's place.
	other := path + ".new"
	write(t, other, first)
	if err := os.Rename(other, path); err != nil {
		t.Fatal(err)
	}
	gives(t, source, first, "KENBUN_PAT_FILE")
	if err := os.Remove(path); err != nil {
		t.Fatal(err)
	}
	refuses(t, source, "the file "+path+" does not exist")
	write(t, path, second)
	gives(t, source, second, "KENBUN_PAT_FILE")
}

func TestN9_WhatIsWrongWithTheTokenIsTold(t *testing.T) {
	pat := newPAT()
	for _, ending := range []string{"", "\n", "\r\n", " ", "\n\n", "\r\n\r\n"} {
		gives(t, newSource(t, credential.Config{PATFile: fileWith(t, pat+ending)}), pat, "KENBUN_PAT_FILE")
	}
	for content, word := range map[string]string{
		"":                             "KENBUN_PAT_FILE: the token is empty",
		"\n":                           "the token is empty",
		pat[:20] + "\n" + pat[20:]:     "white space",
		"KENBUN_PAT=" + pat:            "the name of a header or a variable",
		"Bearer " + pat:                `leave that out`,
		`"` + pat + `"`:                "quotation mark",
		pat[:12]:                       "too short",
		pat + strings.Repeat("a", 200): "too long",
		"ghp_" + pat[8:]:               "GitHub",
		pat + "\x00":                   "a character in it",
		pat + "ä":                      "a character in it",
	} {
		refuses(t, newSource(t, credential.Config{PATFile: fileWith(t, content)}), word, pat[16:], pat[16:30], strings.TrimSpace(content))
		if content != "" && content != "\n" {
			refuses(t, newSource(t, credential.Config{PAT: content}), "KENBUN_PAT: ", pat[16:], pat[16:30])
		}
	}
}

func TestFilesThatCannotHoldATokenAreRefused(t *testing.T) {
	folder := t.TempDir()
	missing := filepath.Join(folder, "missing")
	refuses(t, newSource(t, credential.Config{PATFile: missing}), "KENBUN_PAT_FILE: the file "+missing+" does not exist")
	refuses(t, newSource(t, credential.Config{PATFile: folder}), "the file "+folder+" is a folder")
	large := fileWith(t, strings.Repeat("a", 64<<10+1))
	refuses(t, newSource(t, credential.Config{PATFile: large}), "the file "+large+" is larger than")
	refuses(t, newSource(t, credential.Config{PATFile: fileWith(t, strings.Repeat("a", 64<<10))}), "no kenbun personal access token")
	refuses(t, newSource(t, credential.Config{PATFile: os.DevNull}), "a device or a pipe")
}

func TestR36_TokenFilesThatOthersCanReachAreRefused(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("Windows has no mode bits")
	}
	for mode, says := range map[os.FileMode]string{0o644: "has mode 0644: other users can read it", 0o602: "has mode 0602: other users can write to it"} {
		pat := newPAT()
		file := fileWith(t, pat)
		if err := os.Chmod(file, mode); err != nil {
			t.Fatal(err)
		}
		refuses(t, newSource(t, credential.Config{PATFile: file}), "KENBUN_PAT_FILE: the file "+file+" "+says+". Run chmod 600 "+file, pat)
		refuses(t, newSource(t, credential.Config{PAT: pat, SessionFile: file}), "KENBUN_SESSION_TOKEN_FILE: the file "+file+" "+says+". Run chmod 600 "+file, pat)
		source := newSource(t, credential.Config{PATFile: file})
		if _, err := source.Replaceable(t.Context()); err == nil || !strings.Contains(err.Error(), "chmod 600") {
			t.Errorf("mode %o can be replaced: %v", mode, err)
		}
	}
}

func TestSessionTokenComesAlong(t *testing.T) {
	pat, session := newPAT(), "eyJ"+rand.Text()+"."+rand.Text()
	got := gives(t, newSource(t, credential.Config{PAT: pat, Session: session}), pat, "KENBUN_PAT")
	if got.Session.Reveal() != session {
		t.Error("the session token is another")
	}
	path := fileWith(t, session+"\r\n")
	source := newSource(t, credential.Config{PAT: pat, SessionFile: path})
	if got = gives(t, source, pat, "KENBUN_PAT"); got.Session.Reveal() != session {
		t.Error("the session token from the file is another")
	}
	for content, word := range map[string]string{
		"":                       " is empty; put the session token there",
		"\n":                     " is empty; put the session token there",
		session + " " + session:  "KENBUN_SESSION_TOKEN_FILE: the token has spaces",
		session + "\n" + session: "spaces, line breaks",
		session + "\x7f":         "other characters",
		session + "ä":            "other characters",
	} {
		write(t, path, content)
		refuses(t, source, word, session, pat)
	}
	refuses(t, newSource(t, credential.Config{PAT: pat, Session: session + "\r\nX-Evil: 1"}), "KENBUN_SESSION_TOKEN: ", session, pat)
	if got := gives(t, newSource(t, credential.Config{PAT: pat}), pat, "KENBUN_PAT"); !got.Session.IsZero() {
		t.Error("a session token came from nowhere")
	}
}

// A token that is good, beside a session that is not, must not be used alone in
// silence: the two act at different places.
func TestBrokenSessionIsNoSilentFallback(t *testing.T) {
	refuses(t, newSource(t, credential.Config{PAT: newPAT(), SessionFile: filepath.Join(t.TempDir(), "missing")}), "KENBUN_SESSION_TOKEN_FILE: the file ")
}

func TestErrorsOfACancelledCallAreTheContexts(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, _, err := newSource(t, credential.Config{PATCommand: "exit 0"}).Credential(ctx); !errors.Is(err, context.Canceled) {
		t.Errorf("got %v", err)
	}
}

func TestP14_MarksAroundATokenAreTrimmedWhereverItComesFrom(t *testing.T) {
	pat, session := newPAT(), "kbn_session_"+strings.Repeat("a1", 20)
	sessions := marks.Around(session)
	for name, marked := range marks.Around(pat) {
		t.Run(name, func(t *testing.T) {
			file := fileWith(t, marked)
			gives(t, newSource(t, credential.Config{PATFile: file}), pat, "KENBUN_PAT_FILE")
			if runtime.GOOS != "windows" {
				gives(t, newSource(t, credential.Config{PATCommand: "cat '" + file + "'"}), pat, "KENBUN_PAT_COMMAND")
			}
			got := gives(t, newSource(t, credential.Config{PATFile: file, SessionFile: fileWith(t, sessions[name])}), pat, "KENBUN_PAT_FILE")
			if got.Session.Reveal() != session {
				t.Error("the session token is another")
			}
		})
	}
	for name, marked := range marks.AroundVariable(pat) {
		if got := gives(t, newSource(t, credential.Config{PAT: marked, Session: sessions[name]}), pat, "KENBUN_PAT"); got.Session.Reveal() != session {
			t.Errorf("%s: the session token is another", name)
		}
	}
	// Blanks alone are none.
	gives(t, newSource(t, credential.Config{PAT: " \u200b", PATFile: fileWith(t, pat)}), pat, "KENBUN_PAT_FILE")
	// Within a token nothing is taken out.
	refuses(t, newSource(t, credential.Config{PAT: pat[:20] + "\u200b" + pat[20:]}), "KENBUN_PAT: ", pat[:20])
	refuses(t, newSource(t, credential.Config{PATFile: fileWith(t, "\xff"+pat)}), "save it as plain text in UTF-8", pat)
	refuses(t, newSource(t, credential.Config{PAT: pat, Session: "${SESSION}"}), "KENBUN_SESSION_TOKEN: it holds ${SESSION}", pat)
}

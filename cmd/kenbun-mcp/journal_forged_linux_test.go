package main

import (
	"encoding/json"
	"maps"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
)

// forgery is what an attacker knows who can read and write files, but does not
// have the user's token: the journal of a killed process, and a live token that
// the user holds and has not used yet.
type forgery struct {
	file    string
	begin   map[string]any
	victim  authority.Issued
	expires time.Time
}

func line(t *testing.T, fields map[string]any, change map[string]any) string {
	t.Helper()
	fields = maps.Clone(fields)
	maps.Copy(fields, change)
	// In the order in which the program writes them.
	var out strings.Builder
	for _, name := range []string{"entry", "event", "api", "caller", "name", "expires_at", "at", "ids", "mac"} {
		if fields[name] == nil {
			continue
		}
		value, err := json.Marshal(fields[name])
		if err != nil {
			t.Fatal(err)
		}
		out.WriteString(`,"` + name + `":` + string(value))
	}
	return "{" + out.String()[1:] + "}\n"
}

func (f *forgery) made(t *testing.T, change map[string]any) string {
	t.Helper()
	return line(t, map[string]any{"entry": 1, "event": "made", "at": f.begin["at"], "ids": []string{f.victim.ID}}, change)
}

// TestA33_ForgedJournalRevokesNothing shows that no line that names the user's
// live token has it revoked, whatever is copied from genuine lines.
func TestA33_ForgedJournalRevokesNothing(t *testing.T) {
	zeros := strings.Repeat("0", 64)
	const victimName = "import"
	for name, forge := range map[string]func(t *testing.T, f *forgery) map[string]string{
		"a line of the version before, with the id": func(t *testing.T, f *forgery) map[string]string {
			return map[string]string{f.file: line(t, f.begin, map[string]any{"mac": nil}) + f.made(t, nil)}
		},
		"a line of the version before, with the name": func(t *testing.T, f *forgery) map[string]string {
			return map[string]string{f.file: line(t, f.begin, map[string]any{"mac": nil, "expires_at": f.expires})}
		},
		"a made-up MAC": func(t *testing.T, f *forgery) map[string]string {
			return map[string]string{f.file: line(t, f.begin, map[string]any{"mac": zeros, "expires_at": f.expires}) + f.made(t, map[string]any{"mac": zeros})}
		},
		"a genuine beginning, the id without a MAC": func(t *testing.T, f *forgery) map[string]string {
			return map[string]string{f.file: line(t, f.begin, nil) + f.made(t, nil)}
		},
		"a genuine beginning, its MAC for the id": func(t *testing.T, f *forgery) map[string]string {
			return map[string]string{f.file: line(t, f.begin, nil) + f.made(t, map[string]any{"mac": f.begin["mac"]})}
		},
		"a genuine MAC over another end": func(t *testing.T, f *forgery) map[string]string {
			return map[string]string{f.file: line(t, f.begin, map[string]any{"expires_at": f.expires})}
		},
		"a genuine MAC over another time": func(t *testing.T, f *forgery) map[string]string {
			return map[string]string{f.file: line(t, f.begin, map[string]any{"at": time.Now().UTC(), "expires_at": f.expires})}
		},
		"a genuine MAC over another number": func(t *testing.T, f *forgery) map[string]string {
			return map[string]string{f.file: line(t, f.begin, map[string]any{"entry": 2, "expires_at": f.expires})}
		},
		"the entry begun twice": func(t *testing.T, f *forgery) map[string]string {
			return map[string]string{f.file: line(t, f.begin, nil) + line(t, f.begin, map[string]any{"expires_at": f.expires})}
		},
		"fields twice": func(t *testing.T, f *forgery) map[string]string {
			return map[string]string{f.file: strings.Replace(line(t, f.begin, nil), `"event"`, `"Expires_At":"`+f.expires.Format(time.RFC3339)+`","event"`, 1) + f.made(t, nil)}
		},
	} {
		t.Run(name, func(t *testing.T) {
			c := newCountry(t)
			r := c.roadTo(t, "file")
			environment := c.environment(t, r)
			f := c.forge(t, environment, victimName)
			folder := filepath.Join(c.data, "kenbun-mcp", "journal")
			mustDo(t, os.Remove(filepath.Join(folder, f.file)))
			for file, content := range forge(t, f) {
				writePrivate(t, filepath.Join(folder, file), []byte(content))
			}
			told := runProgram(t, environment, initialize+toolCall(2, "list_tokens", `{}`), "stdio")
			alive := false
			for _, token := range c.live(t) {
				alive = alive || token.ID == f.victim.ID
			}
			if !alive {
				t.Errorf("a forged line revoked the user's live token: %s", told.stdout)
			}
		})
	}
	// The same with copies of whole genuine files: they cannot revoke another
	// token either, and a copy under another name revokes nothing at all.
	t.Run("a copy under another name", func(t *testing.T) {
		c := newCountry(t)
		environment := c.environment(t, c.roadTo(t, "file"))
		f := c.forge(t, environment, victimName)
		folder := filepath.Join(c.data, "kenbun-mcp", "journal")
		mustDo(t, os.Rename(filepath.Join(folder, f.file), filepath.Join(folder, "COPY.journal")))
		told := runProgram(t, environment, initialize+toolCall(2, "list_tokens", `{}`), "stdio")
		if n := len(c.live(t)); n != 2 || !strings.Contains(told.stdout, "cannot be verified") {
			t.Errorf("%d tokens live, want both: %s", n, told.stdout)
		}
	})
	t.Run("the genuine file", func(t *testing.T) {
		c := newCountry(t)
		environment := c.environment(t, c.roadTo(t, "file"))
		f := c.forge(t, environment, victimName)
		told := runProgram(t, environment, initialize+toolCall(2, "list_tokens", `{}`), "stdio")
		if live := c.live(t); len(live) != 1 || live[0].ID != f.victim.ID || !strings.Contains(told.stdout, "it was revoked now") {
			t.Errorf("live are %+v: nothing was tried: %s", live, told.stdout)
		}
	})
}

// forge has a process killed while it makes a token, and makes another one that
// the user holds.
func (c *country) forge(t *testing.T, environment []string, name string) *forgery {
	t.Helper()
	c.killStdio(t, environment)
	c.witness.whenMade(nil)
	folder := filepath.Join(c.data, "kenbun-mcp", "journal")
	files, err := filepath.Glob(filepath.Join(folder, "*.journal"))
	if err != nil || len(files) != 1 {
		t.Fatalf("the killed process left %v, %v", files, err)
	}
	content, err := os.ReadFile(files[0])
	if err != nil {
		t.Fatal(err)
	}
	f := &forgery{file: filepath.Base(files[0]), expires: time.Now().Add(30 * 24 * time.Hour).UTC().Truncate(time.Second)}
	first, _, _ := strings.Cut(string(content), "\n")
	if err := json.Unmarshal([]byte(first), &f.begin); err != nil || f.begin["mac"] == nil {
		t.Fatalf("the journal begins with %s: %v", first, err)
	}
	f.victim = c.api.Token(t, "ada@example.com", name, &f.expires)
	return f
}

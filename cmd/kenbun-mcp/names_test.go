package main

import (
	"encoding/json"
	"fmt"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/names"
)

// asJSON writes s as JSON does.
func asJSON(t *testing.T, s string) string {
	t.Helper()
	text, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(text)
}

// sampled are some of names.Living. All of them would reach the API's limit on
// requests.
var sampled = []string{
	"Persian, a joiner apart", "Sinhala", "Malayalam", "Bengali, ya behind ra", "Hindi, half a letter", "Hebrew with points", "Arabic",
	"Japanese, its own space", "Emoji and words", "A family", "A flag of tags", "A keycap",
}

func TestP29_StdioAndTerminalTakeAndRefuseTheSameNames(t *testing.T) {
	api := kenbuntest.Start(t)
	environment := kenbuntest.Environment(t, "KENBUN_API_URL="+api.URL, "KENBUN_PAT="+api.User(t, "ada@example.com", authority.RoleMember))
	input, id := initialize, 2
	wanted := map[string]string{} // by request
	for _, label := range sampled {
		name := names.Living[label]
		input += toolCall(id, "create_token", `{"expires":"7d","name":`+asJSON(t, name)+`}`)
		wanted[fmt.Sprint(id)] = name
		id++
	}
	unseen := map[string]names.Refused{}
	for _, refused := range names.RefusedNames {
		input += toolCall(id, "create_token", `{"expires":"7d","name":`+asJSON(t, refused.Name)+`}`)
		unseen[fmt.Sprint(id)] = refused
		id++
	}
	got := runProgram(t, environment, input, "stdio", "--deliver", "file", "--deliver-dir", filepath.Join(t.TempDir(), "tokens"),
		"--max-changes-per-minute", "0", "--max-tokens-per-day", "0")
	byID := answers(t, got.stdout)
	for id, name := range wanted {
		if answer := resultOf(t, byID[id]); answer.IsError || !strings.Contains(answer.text(), "\nname: "+name+"\n") {
			t.Errorf("%+q is answered with %q", name, answer.text())
		}
	}
	for id, refused := range unseen {
		if answer := resultOf(t, byID[id]); !answer.IsError || !strings.Contains(answer.text(), fmt.Sprintf("%U at character %d", refused.Rune, refused.Position)) {
			t.Errorf("%+q is answered with %q", refused.Name, answer.text())
		}
	}

	listed := terminalList(t, environment)
	for _, label := range sampled {
		if !slices.Contains(listed, names.Living[label]) {
			t.Errorf("%s, made over stdio, is not in the terminal's list: %+q", label, listed)
		}
	}
	for _, label := range []string{"Persian, a joiner apart", "Sinhala", "A family", "A flag of tags"} {
		name := names.Living[label]
		got := runProgram(t, environment, "", "tokens", "create", name, "--expires", "7d", "--stdout")
		if got.code != 0 || !strings.Contains(got.stderr, `Created "`+name+`" (`) {
			t.Errorf("%s at the terminal: exit %d, %s", label, got.code, got.stderr)
		}
		if listed := terminalList(t, environment, "--name", name); len(listed) < 2 || !slices.Contains(listed, name) {
			t.Errorf("the terminal finds %+q of %s", listed, label)
		}
	}
	table := runProgram(t, environment, "", "tokens", "list", "--name", names.Living["Emoji and words"]).stdout
	if !strings.Contains(table, names.Living["Emoji and words"]) {
		t.Errorf("the table shows %q", table)
	}
	for _, label := range []string{"override to the left", "tags", "joiner between Latin letters", "Hangul filler"} {
		refused := names.RefusedNames[label]
		got := runProgram(t, environment, "", "tokens", "create", refused.Name, "--expires", "7d", "--stdout")
		if got.code == 0 || got.stdout != "" || !strings.Contains(got.stderr, fmt.Sprintf("%U at character %d", refused.Rune, refused.Position)) {
			t.Errorf("%s at the terminal: exit %d, %s", label, got.code, got.stderr)
		}
	}
}

// terminalList are the names that the terminal lists.
func terminalList(t *testing.T, environment []string, flags ...string) []string {
	t.Helper()
	got := runProgram(t, environment, "", append([]string{"tokens", "list", "--json"}, flags...)...)
	var rows []struct{ Name string }
	if err := json.Unmarshal([]byte(got.stdout), &rows); err != nil {
		t.Fatalf("%v: %s%s", err, got.stdout, got.stderr)
	}
	var listed []string
	for _, row := range rows {
		listed = append(listed, row.Name)
	}
	return listed
}

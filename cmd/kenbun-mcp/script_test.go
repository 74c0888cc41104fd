package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"github.com/kenbun/kenbun-mcp/client"
	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// TestScripts runs what users type in a terminal. Beside the commands of testscript,
// scripts have:
//
//   - exits CODE kenbun-mcp ARGUMENT...
//     Runs the program, which must end with this exit code.
//   - keep NAME kenbun-mcp ARGUMENT...
//     Runs the program with the file NAME.token as its standard output, for secrets.
//     Logs hold the rest of what it prints.
//   - api
//     Starts a kenbun API in memory with one user, dev@example.com. Puts its address
//     into KENBUN_API_URL and the user's token into KENBUN_PAT.
//   - token NAME
//     Issues a token for that user. Puts its id into $ID and its value into the file
//     NAME.token.
//   - [!] works NAME
//     Checks that the API accepts the token in the file NAME.token.
//   - [!] shows NAME
//     Checks that the value in NAME.token is in the output of the last command.
func TestScripts(t *testing.T) {
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			// No script looks into the keychain of the user who runs it, or opens pages
			// in their browser.
			home := filepath.Join(env.WorkDir, "home")
			env.Vars = append(env.Vars, "HOME="+home, "XDG_DATA_HOME="+filepath.Join(home, "data"), "XDG_CONFIG_HOME="+filepath.Join(home, "config"),
				"DBUS_SESSION_BUS_ADDRESS=disabled:", "KENBUN_NO_BROWSER=true", command.AllowAgentVariable+"=1")
			env.Values[scriptAPI{}] = &scriptAPI{TB: env.T().(testing.TB)}
			return os.Mkdir(home, 0o700)
		},
		Cmds: map[string]func(ts *testscript.TestScript, neg bool, args []string){
			"api":   func(ts *testscript.TestScript, _ bool, _ []string) { apiOf(ts).start(ts) },
			"token": func(ts *testscript.TestScript, _ bool, args []string) { apiOf(ts).token(ts, args[0]) },
			"works": func(ts *testscript.TestScript, neg bool, args []string) {
				if works := apiOf(ts).works(ts, args[0]); works == neg {
					ts.Fatalf("that %s works is %t", args[0], works)
				}
			},
			"shows": func(ts *testscript.TestScript, neg bool, args []string) {
				value := strings.TrimSpace(ts.ReadFile(args[0] + ".token"))
				if shows := strings.Contains(ts.ReadFile("stdout")+ts.ReadFile("stderr"), value[16:]); shows == neg {
					ts.Fatalf("that the output shows %s is %t", args[0], shows)
				}
			},
		},
	})
}

// exits runs the program as the command exits of scripts does.
func exits() {
	want, err := strconv.Atoi(os.Args[1])
	if err != nil {
		panic(err)
	}
	os.Args = os.Args[2:]
	if code := run(); code != want {
		fmt.Fprintf(os.Stderr, "[exit code %d, want %d]\n", code, want)
		os.Exit(1)
	}
}

// keep runs the program as the command keep of scripts does.
func keep() {
	file, err := os.OpenFile(os.Args[1]+".token", os.O_WRONLY|os.O_CREATE|os.O_EXCL, 0o600)
	if err != nil {
		panic(err)
	}
	os.Stdout = file
	os.Args = os.Args[2:]
	os.Exit(run())
}

// scriptAPI is the API of one script.
type scriptAPI struct {
	testing.TB
	api *kenbuntest.API
}

func apiOf(ts *testscript.TestScript) *scriptAPI { return ts.Value(scriptAPI{}).(*scriptAPI) }

func (s *scriptAPI) start(ts *testscript.TestScript) {
	s.api = kenbuntest.Start(s.TB)
	ts.Setenv("KENBUN_API_URL", s.api.URL)
	ts.Setenv("KENBUN_PAT", s.api.User(s.TB, "dev@example.com", authority.RoleMember))
	ts.Check(os.WriteFile(ts.MkAbs("own.token"), []byte(ts.Getenv("KENBUN_PAT")), 0o600))
}

func (s *scriptAPI) token(ts *testscript.TestScript, name string) {
	issued := s.api.Token(s.TB, "dev@example.com", name, nil)
	ts.Setenv("ID", issued.ID)
	ts.Check(os.WriteFile(ts.MkAbs(name+".token"), []byte(issued.Value), 0o600))
}

func (s *scriptAPI) works(ts *testscript.TestScript, name string) bool {
	return works(s.TB, s.api, strings.TrimSpace(ts.ReadFile(name+".token")))
}

// works reports whether a token does.
func works(t testing.TB, api *kenbuntest.API, pat string) bool {
	t.Helper()
	_, err := api.As(t, pat).Me(t.Context())
	if err != nil && !errors.Is(err, client.ErrUnauthenticated) {
		t.Fatal(err)
	}
	return err == nil
}

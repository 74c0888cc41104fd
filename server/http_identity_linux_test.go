package server_test

import (
	"net/http/httptest"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/server"
)

// Another user of this machine is not the server's own.
func TestIdentityServer_RefusesOtherUsersOfTheMachine(t *testing.T) {
	if os.Getuid() != 0 {
		kenbuntest.SkipUnlessRequired(t, "only root can act as another user")
	}
	h := newHouse(t)
	handler, err := h.HTTPHandler(server.HTTPConfig{Identity: server.IdentityServer})
	if err != nil {
		t.Fatal(err)
	}
	site := httptest.NewServer(handler)
	t.Cleanup(site.Close)
	body := `{"jsonrpc":"2.0","id":1,"method":"ping"}`
	for uid, want := range map[uint32]string{0: "200", 65534: "403"} {
		curl := exec.Command("/bin/bash", "-c", `exec 3<>/dev/tcp/127.0.0.1/$PORT; printf 'POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Type: application/json\r\nConnection: close\r\nContent-Length: %d\r\n\r\n%s' ${#BODY} "$BODY" >&3; head -n 1 <&3`)
		curl.Env = []string{"PATH=/usr/bin:/bin", "PORT=" + site.URL[strings.LastIndex(site.URL, ":")+1:], "BODY=" + body}
		curl.SysProcAttr = &syscall.SysProcAttr{Credential: &syscall.Credential{Uid: uid, Gid: uid}}
		answer, err := curl.CombinedOutput()
		if err != nil {
			t.Fatalf("%v: %s", err, answer)
		}
		// What becomes of the message is not the matter here.
		if refused := strings.Contains(string(answer), " 403 "); refused != (want == "403") {
			t.Errorf("user %d is answered %q, want %s", uid, answer, want)
		}
	}
}

package deploy_test

import (
	"net/http"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

func TestCompose_TokenMadeOnOneReplicaIsFetchedAnywhere(t *testing.T) {
	api := kenbuntest.Start(t)
	d := newDeployment(t)
	d.startAll(t, api, "KENBUN_MAX_CHANGES_PER_MINUTE=0")
	ada := user{d.client(t), api.User(t, "ada@example.com", authority.RoleMember)}
	for range 20 {
		answer, err := ada.call("create_token", `{"name":"nightly","expires":"7d"}`)
		if err != nil {
			t.Fatal(err)
		}
		value, err := ada.fetch(claimID.FindString(answer))
		if err != nil {
			t.Fatal(err)
		}
		if _, err := api.As(t, value).Me(t.Context()); err != nil {
			t.Error(err)
		}
	}
	response, err := http.Get("http://" + d.health + "/healthz")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("%v, %v", response, err)
	}
	response.Body.Close()
	t.Log(d.content(t, "access.log"))
}

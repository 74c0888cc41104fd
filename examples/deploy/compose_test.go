//go:build linux

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
	replica1, replica2 := d.startAll(t, api, unhurried)
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
	response, err := http.Get("http://" + d.health + "/readyz")
	if err != nil || response.StatusCode != http.StatusOK {
		t.Errorf("%v, %v", response, err)
	}
	response.Body.Close()
	if calls(replica1) == 0 || calls(replica2) == 0 {
		t.Errorf("the replicas were asked %d and %d times", calls(replica1), calls(replica2))
	}
}

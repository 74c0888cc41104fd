package redact_test

import (
	"testing"
	"time"

	"github.com/kenbun/kenbun-mcp/internal/authority"
	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
	"github.com/kenbun/kenbun-mcp/internal/redact"
)

// Whatever the embedded API issues is a secret that the list knows.
func TestR1_WhatTheAPIIssuesIsKnown(t *testing.T) {
	const email = "ada@example.com"
	api := kenbuntest.Start(t)
	issued := map[string]string{"a token": api.User(t, email, authority.RoleMember)}
	var err error
	if issued["a session"], err = api.Authority.IssueSession(t.Context(), email, time.Hour); err != nil {
		t.Fatal(err)
	}
	if issued["a sign-in link"], err = api.Authority.IssueSignInLink(t.Context(), email, "", api.URL); err != nil {
		t.Fatal(err)
	}
	for what, value := range issued {
		if !redact.Holds(value) {
			t.Errorf("%s is not known as a secret", what)
		}
	}
}

package client

import "context"

const (
	opMe   = "read the signed-in user"
	mePath = "/me"
)

// Me is the user on whose behalf calls are made. The names are as the API sent
// them: text from outside.
type Me struct {
	OrgMemberID string `json:"org_member_id"`
	FirstName   string `json:"first_name"`
	LastName    string `json:"last_name"`
	Email       string `json:"email"`
	Role        string `json:"role"`
	Verified    bool   `json:"verified"`

	// What some installations add; empty elsewhere.
	UserID  string `json:"user_id,omitempty"`
	OrgID   string `json:"org_id,omitempty"`
	OrgName string `json:"org_name,omitempty"`
	// Permissions are what counts for the PAT now: those of the user's role that
	// the PAT is not narrowed away from. Nil where the API does not tell.
	Permissions []string `json:"permissions,omitempty"`
}

// Me returns the user whom the PAT belongs to (GET /me).
//
// kenbun documents this call for signed-in sessions. An API may refuse it to a
// PAT with 401 or 403 although the PAT is good for other calls, so
// [ErrUnauthenticated] from here does not prove that a PAT is bad; ListTokens
// does.
func (u *Caller) Me(ctx context.Context) (*Me, error) {
	var me *Me
	cl, err := u.client.get(ctx, opMe, mePath, u.cred.PAT, &me)
	if err != nil {
		return nil, err
	}
	if me == nil || me.OrgMemberID == "" && me.UserID == "" && me.Email == "" {
		return nil, unexpected(cl, cl.answer, "the answer names no user", nil)
	}
	return me, nil
}

package client

import "context"

// GrantablePermissions returns what the caller may give a token, as far as the
// API tells it (GET /me, an extension): the permissions that count for the PAT
// now. Nil means that it does not tell, or that tokens are managed with a session
// ([Credential.Session]), which may grant other ones.
func (u *Caller) GrantablePermissions(ctx context.Context) ([]string, error) {
	if !u.cred.Session.IsZero() {
		return nil, nil
	}
	me, err := u.Me(ctx)
	if err != nil {
		return nil, err
	}
	return me.Permissions, nil
}

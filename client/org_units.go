package client

import (
	"context"
	"fmt"
)

const (
	opOrgUnits   = "list organizational units"
	orgUnitsPath = "/org-units"
)

// OrgUnit is an Organizational Unit that the user has access to. Names are text from
// outside, unchanged.
type OrgUnit struct {
	ID    string `json:"unit_id"`
	OrgID string `json:"org_id"`
	Name  string `json:"name"`
	Slug  string `json:"slug"`
	// ExternalRef is the unit's name in another system, nil if it has none.
	ExternalRef *string `json:"external_ref"`
	IsDefault   bool    `json:"is_default"`
}

// OrgUnits returns the Organizational Units of the user (GET /org-units). The slice may be
// empty, but is not nil.
func (u *Caller) OrgUnits(ctx context.Context) ([]OrgUnit, error) {
	var units []OrgUnit
	cl, err := u.client.get(ctx, opOrgUnits, orgUnitsPath, u.cred.PAT, &units)
	if err != nil {
		return nil, err
	}
	if units == nil {
		return nil, unexpected(cl, cl.answer, "the answer is not a list", nil)
	}
	for i := range units {
		if units[i].ID == "" {
			return nil, unexpected(cl, cl.answer, fmt.Sprintf("entry %d of the list of units has no unit_id", i+1), nil)
		}
	}
	return units, nil
}

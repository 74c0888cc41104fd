package client

import "time"

// firstTime is before every time that kenbun can have noted. What lies before it is
// a way of saying that there is none, such as 1970-01-01 or 0001-01-01.
var firstTime = time.Unix(0, 0).AddDate(0, 0, 2)

// tidy makes of the times that stand for none those that Token has for it. An
// expiry in 1970 stays what it is: zero never means that a token does not expire.
func (t *Token) tidy() {
	for _, at := range []**time.Time{&t.LastUsedAt, &t.RevokedAt, &t.ValidFrom} {
		if *at != nil && (*at).Before(firstTime) {
			*at = nil
		}
	}
	// "Until the year 9999" is for ever. What is revoked only then is not revoked.
	for _, at := range []**time.Time{&t.ExpiresAt, &t.RevokedAt} {
		if *at != nil && (*at).UTC().Year() >= maxYear {
			*at = nil
		}
	}
}

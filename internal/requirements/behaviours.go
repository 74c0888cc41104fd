package requirements

var kenbun = []Requirement{
	{ID: "K1", Text: "A token is created with a name of 1 to 100 characters and an optional expiry in the future. Its value is returned this once."},
	{ID: "K2", Text: "The list shows every token with its last use, expiry and revocation, and never a value."},
	{ID: "K3", Text: "A revoked token loses access at once and for good. Unknown ids and those of others look the same."},
	{ID: "K4", Text: "Each request acts as the user, with the role and units of the moment."},
	{ID: "K5", Text: "Service accounts are something else and are not served."},
	{ID: "K6", Text: "Tokens can be created, listed and revoked on a web page, too."},
	{ID: "K7", Text: "Tokens that are unused or expire soon stand out."},
	{ID: "K8", Text: "An expired token stops by itself."},
	{ID: "K9", Text: "A value begins with kbn_pat_. The prefix is that and the eight characters after it."},
}

var narrowed = []Requirement{
	{ID: "S1", Text: "A token can be given some of the permissions that its user's role holds."},
	{ID: "S2", Text: "A token can have a time before which it is refused."},
	{ID: "S3", Text: "A value is shown once."},
	{ID: "S4", Text: "Lists and pages show from when, until when and for what a token is valid."},
	{ID: "S5", Text: "Everything about a token but its value can be changed later."},
	{ID: "S6", Text: "Revoking asks first, then happens at once."},
	{ID: "S7", Text: "The owner can see what a token was used for."},
	{ID: "S8", Text: "Rotation makes the new token first and revokes the old one last."},
}

var inherited = []Requirement{
	{ID: "H1", Text: "The role counts as it is at each request. A suspended or removed user's tokens stop."},
	{ID: "H2", Text: "A request may do what both the role and the token allow at that moment."},
	{ID: "H3", Text: "Lists and logs name a token by its prefix."},
	{ID: "H4", Text: "Authorization: Bearer and X-API-Key are both accepted."},
	{ID: "H5", Text: "A token is compared with a stored, keyed digest."},
	{ID: "H6", Text: "An expiry is the rule, none the exception."},
	{ID: "H7", Text: "A token can be revoked on a page and by the API, at once."},
	{ID: "H8", Text: "A value is never replaced in place."},
}

var limits = []Requirement{
	{ID: "N1", Text: "An expiry is counted to the second."},
	{ID: "N2", Text: "A name is required."},
	{ID: "N3", Text: "Each token has a limit by the minute and one by the day. The gateway counts on its own."},
	{ID: "N4", Text: "While tokens cannot be verified, nobody is accepted, and clients wait."},
	{ID: "N5", Text: "A revocation reaches every node that caches verifications."},
	{ID: "N6", Text: "A list shows no revoked tokens unless asked to."},
	{ID: "N7", Text: "A token works in one organization and its units. Membership is checked at each request."},
	{ID: "N8", Text: "Nobody else sees or revokes a user's tokens."},
	{ID: "N9", Text: "The owner of a token learns why it does not work."},
	{ID: "N10", Text: "A signed-in session's token is accepted as a bearer."},
	{ID: "N11", Text: "Lists are fresh."},
}

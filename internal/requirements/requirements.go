// Package requirements lists what the tests show. A test is named after the
// requirements that it bears: TestR12_A7_… bears R12 and A7.
package requirements

// A Requirement is something that kenbun-mcp holds to.
type Requirement struct {
	// ID is a letter and a number, such as R12.
	ID string
	// Text is the requirement in one or two sentences.
	Text string
	// Elsewhere explains why the API decides and not this program. It is empty
	// for a requirement that is held.
	Elsewhere string
	// With are further requirements whose tests bear this one as well.
	With []string
}

// A Family is the requirements that share a letter.
type Family struct {
	Letter, Title, Intro string
	Requirements         []Requirement
}

// Families returns all requirements.
func Families() []Family {
	return []Family{
		{"R", "Security requirements", "Each is held, or decided by kenbun's own API. In the second case the tests show what the embedded API and the tools do.", security},
		{"A", "Attacks", "Each attack, and its required outcome.", attacks},
		{"K", "Personal access tokens of kenbun", "Documented by kenbun and offered by the embedded API.", kenbun},
		{"S", "Narrowed and changeable tokens", "Added by the embedded API and supported by the tools.", narrowed},
		{"H", "Tokens that inherit a role", "", inherited},
		{"N", "Limits, faults and lists", "", limits},
		{"P", "Inputs that users really have", "Reported by users of similar programs.", inputs},
	}
}

const kenbunDecides = "decided by kenbun's own API"

var security = []Requirement{
	{ID: "R1", Text: "A new secret is in no result, notification, error, progress message or log line."},
	{ID: "R2", Text: "A request has exactly one credential, in a header of its own. Anything else is refused."},
	{ID: "R3", Text: "Each request is authenticated by itself. No earlier request on the connection helps it."},
	{ID: "R4", Text: "A 401 has a Bearer challenge. It names an error only if a token came with the request."},
	{ID: "R5", Text: "Unknown, damaged, expired and revoked tokens get the same answer, in about the same time."},
	{ID: "R6", Text: "Secrets have at least 128 bits from the system's cryptographic source."},
	{ID: "R7", Text: "Tokens are stored as keyed hashes only. The key is outside the database and can be rotated."},
	{ID: "R8", Text: "Secrets and digests are compared in constant time."},
	{ID: "R9", Text: "Zero, absence or a negative number never means that a token does not expire.", Elsewhere: kenbunDecides},
	{ID: "R10", Text: "A token lives no longer than the operator allows, and its permissions are a subset of its maker's.", With: []string{"S1"}},
	{ID: "R11", Text: "A token is dead at the very instant of its expiry."},
	{ID: "R12", Text: "A node that revoked a token refuses it at the next verification."},
	{ID: "R13", Text: "Other nodes refuse a revoked token within seconds. A node that cannot hear of revocations asks the database.", With: []string{"N5"}},
	{ID: "R14", Text: "All tokens of a suspended or removed user stop.", With: []string{"H1"}},
	{ID: "R15", Text: "A narrowed token makes no wider one, and one that expires makes neither itself nor another last for ever. A token that is revoked while it makes another leaves none behind.", With: []string{"H2", "K3"}},
	{ID: "R16", Text: "Another user's token id looks like one that does not exist, for every method."},
	{ID: "R17", Text: "A body cannot set the owner, id, digest, creation time or last use of a token."},
	{ID: "R18", Text: "Answers hold listed fields only. Unknown fields of the API are dropped."},
	{ID: "R19", Text: "A create happens at most once, also where the answer is lost."},
	{ID: "R20", Text: "An idempotent repetition never returns the secret again. kenbun has no idempotency keys, and a create is not repeated.", Elsewhere: kenbunDecides, With: []string{"R19"}},
	{ID: "R21", Text: "The limit on tokens holds under concurrency."},
	{ID: "R22", Text: "Rates are limited by user and by address. Forwarding headers of strangers are ignored."},
	{ID: "R23", Text: "The limits on failed authentication take bounded memory."},
	{ID: "R24", Text: "Bodies, headers, nesting and names are bounded before they are parsed."},
	{ID: "R25", Text: "Every phase of a request has a time limit."},
	{ID: "R26", Text: "A token goes to the configured server alone. Redirects are not followed."},
	{ID: "R27", Text: "TLS is verified, at version 1.2 or newer. Plain HTTP is for loopback."},
	{ID: "R28", Text: "Host and Origin have to be allowed, on every method and path."},
	{ID: "R29", Text: "Headers that contradict the body are refused.", With: []string{"A41"}},
	{ID: "R30", Text: "JSON that two readers could understand differently is refused."},
	{ID: "R31", Text: "Text from outside is cleaned of what cannot be seen, in results, logs and terminals."},
	{ID: "R32", Text: "Errors that a model or client sees come from a closed set. Details are in the log."},
	{ID: "R33", Text: "A panic ends one call, not the process."},
	{ID: "R34", Text: "Every change has an audit entry, also one that fails."},
	{ID: "R35", Text: "The audit log shows whether an entry was deleted, changed or moved."},
	{ID: "R36", Text: "Files and folders with secrets are the user's alone. Symbolic links are refused."},
	{ID: "R37", Text: "A change that cannot be undone needs the user's own decision. No argument of a tool can replace it."},
	{ID: "R38", Text: "The state of a question is bound to caller, tool, arguments and target. It expires and counts once."},
	{ID: "R39", Text: "A claim is valid for ten minutes, once, and for its caller alone. A second attempt revokes the token."},
	{ID: "R40", Text: "The token in use is not revoked or narrowed by accident. The user can revoke all tokens without the assistant."},
}

var attacks = []Requirement{
	{ID: "A1", Text: "Injected text asks to revoke everything."},
	{ID: "A2", Text: "Injected text asks for a token that never expires or may do too much."},
	{ID: "A3", Text: "The name of a token holds instructions for the model."},
	{ID: "A4", Text: "Secrets leak through results, errors, logs, traces or metrics."},
	{ID: "A5", Text: "The model chooses where a secret is written."},
	{ID: "A6", Text: "The model confirms in the user's place, or the question fails and counts as a yes."},
	{ID: "A7", Text: "The state of a question is replayed, altered or used for another question."},
	{ID: "A8", Text: "The address of a claim is passed on to somebody else."},
	{ID: "A9", Text: "A claim is fetched twice, or by many at once."},
	{ID: "A10", Text: "A web page reaches the server under a name of its own (DNS rebinding)."},
	{ID: "A11", Text: "A web page sends requests or forms across sites."},
	{ID: "A12", Text: "A request chooses which API is called."},
	{ID: "A13", Text: "A redirect takes the token elsewhere."},
	{ID: "A14", Text: "A link in an answer leads to another host."},
	{ID: "A15", Text: "An id leads to another path or file."},
	{ID: "A16", Text: "Names, ids or headers hold line breaks."},
	{ID: "A17", Text: "Names hold invisible or misleading characters."},
	{ID: "A18", Text: "Names hold escape sequences for a terminal."},
	{ID: "A19", Text: "Names forge log entries."},
	{ID: "A20", Text: "Names hold markup."},
	{ID: "A21", Text: "The framing of a request is ambiguous (smuggling)."},
	{ID: "A22", Text: "Messages, bodies or streams exhaust the memory."},
	{ID: "A23", Text: "Slow or idle connections lock others out."},
	{ID: "A24", Text: "A compressed body is small until it is unpacked."},
	{ID: "A25", Text: "The API answers with something huge, slow or of the wrong kind."},
	{ID: "A26", Text: "A session of somebody else is used, chosen or kept open."},
	{ID: "A27", Text: "Answers, questions or records of two users mix."},
	{ID: "A28", Text: "Random tokens or users make the memory grow."},
	{ID: "A29", Text: "The time of an answer shows why a token does not work."},
	{ID: "A30", Text: "Tokens are guessed."},
	{ID: "A31", Text: "The store of claims is read by somebody else."},
	{ID: "A32", Text: "The answer to a create is lost, and a token that nobody holds stays valid."},
	{ID: "A33", Text: "A token is made and cannot be delivered, or the process dies in between."},
	{ID: "A34", Text: "The same token is rotated several times at once."},
	{ID: "A36", Text: "Clocks differ or jump."},
	{ID: "A37", Text: "Zero or an overflow means never."},
	{ID: "A38", Text: "A cursor of another list is used, or one that was made up."},
	{ID: "A39", Text: "An id holds SQL."},
	{ID: "A40", Text: "Two JSON parsers read different things."},
	{ID: "A41", Text: "Routing headers say something else than the body."},
	{ID: "A42", Text: "A client forges the address that a proxy reports."},
	{ID: "A43", Text: "A request has two tokens."},
	{ID: "A44", Text: "A secret's file or folder is a link, belongs to others or is exchanged meanwhile."},
	{ID: "A45", Text: "A child process inherits secrets."},
	{ID: "A46", Text: "Other users of the machine see a secret in arguments, in the environment or on a page."},
	{ID: "A47", Text: "A core dump or a debugger shows the memory."},
	{ID: "A49", Text: "A panic takes the process down."},
	{ID: "A50", Text: "The definition of a tool changes without review."},
	{ID: "A53", Text: "The API repeats a token in its errors."},
	{ID: "A57", Text: "The database's files are copied."},
	{ID: "A58", Text: "An old program meets a newer database."},
	{ID: "A60", Text: "A health check says more than whether the server is well."},
}

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

// inputs are classes of what users and their surroundings really send.
var inputs = []Requirement{
	{ID: "P1", Text: "For an optional argument, null and an empty text mean that it is left out, and digits in a text mean the number. Lists and required arguments stay strict."},
	{ID: "P2", Text: "A part of a client's introduction that nothing uses is not judged. One that is used and has the wrong form was not declared."},
	{ID: "P3", Text: "A protocol version that the header says twice is one version. Initialize negotiates down from any version."},
	{ID: "P4", Text: "An error carries the id of the request wherever it can be read. A byte order mark before a message is skipped."},
	{ID: "P5", Text: "An address with doubled or trailing slashes leads where the address without them leads, without a redirect."},
	{ID: "P6", Text: "Each wrong way of giving a token has a reason with a name and an explanation, the same over HTTP, over stdio and in a terminal. Legal blanks are accepted."},
	{ID: "P7", Text: "Texts of the protocol that clients show are short sentences that say that a kenbun token is needed and where to read more."},
	{ID: "P8", Text: "The operator can name the one header that counts for the token."},
	{ID: "P9", Text: "Health is answered under any name and origin, and holds no data."},
	{ID: "P10", Text: "Any serialized origin but null can be allowed by its name."},
	{ID: "P11", Text: "Each refusal has one line in the log, with the reason by name and the number that is in the answer, and without a token."},
	{ID: "P12", Text: "Every call is answered within 50 seconds, with progress every ten. A question or a pick-up that takes longer stays open, and the same call again joins it."},
	{ID: "P13", Text: "Work for a client that has left is undone at once. No token is left that nobody holds, and a retry makes one."},
	{ID: "P14", Text: "Invisible characters and byte order marks around a setting, a secret or a file are trimmed, and UTF-16 is read. Anything else that has no place there is named."},
	{ID: "P15", Text: "A leading ~/ of a path is the home folder. A variable that nothing has filled in is refused by name before anything is written. Errors show the path."},
	{ID: "P16", Text: "A missing folder does not stop commands that do not need it. Commands that need it refuse, with advice that works."},
	{ID: "P17", Text: "Lists are read in one way, from variables and flags: entries are trimmed, empty ones are passed over, and a list without an entry is refused."},
	{ID: "P18", Text: "A variable or a flag that looks like a setting and is none is named, with the one that was meant. One that looks like a restriction ends the start."},
	{ID: "P19", Text: "A reader who has had enough is no error. Nothing is made when nobody can read the value, and a value that cannot be written is taken back."},
	{ID: "P20", Text: "A setting that cannot be read is refused by name at the start. Nothing goes past a proxy that was asked for."},
	{ID: "P21", Text: "The cause of a failed request, and the setting that helps, reach the assistant, the terminal and the log. Waiting is advised only where it helps."},
	{ID: "P22", Text: "A token is said to be revoked only if the API's own list shows it. Otherwise the outcome is unknown, and the token is named as perhaps alive."},
	{ID: "P23", Text: "An answer of something between here and kenbun is never taken for kenbun's verdict."},
	{ID: "P24", Text: "The API's own code for an error decides over the status."},
	{ID: "P25", Text: "The API's reason for a refusal reaches the assistant as data: cleaned, cut and quoted."},
	{ID: "P26", Text: "A token that the API makes otherwise than asked is taken where it is no more than asked for. If not, the field is named, and nobody is told to call again."},
	{ID: "P27", Text: "Other spellings of no time are understood, and ages do not overflow."},
	{ID: "P28", Text: "A wait that is hard to read is neither none nor a year."},
	{ID: "P29", Text: "Names of all living scripts and every recommended emoji are accepted, found and shown as typed, in every interface alike. Invisible characters are refused, with their code point and place."},
}

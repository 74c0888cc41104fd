package requirements

// inputs are classes of what users and their surroundings really send.
var inputs = []Requirement{
	{ID: "P1", Text: "For an optional argument, null and an empty text mean that it is left out, and digits in a text mean the number. Lists and required arguments stay strict."},
	{ID: "P2", Text: "A part of a client's introduction that nothing uses is not judged. One that is used and has the wrong form was not declared."},
	{ID: "P3", Text: "A protocol version that the header says twice is one version. Initialize negotiates down from any version."},
	{ID: "P4", Text: "An error carries the id of the request wherever it can be read. A byte order mark before a message is skipped."},
	{ID: "P5", Text: "An address with doubled or trailing slashes leads where the address without them leads, without a redirect."},
	{ID: "P6", Text: "Each wrong way of giving a token has a reason with a name and an explanation, the same over HTTP, over stdio and in a terminal. Legal blanks are accepted."},
	{ID: "P7", Text: "Where a client shows a text of the protocol, it is a short sentence that says that a kenbun token is needed and where to read on."},
	{ID: "P8", Text: "The operator can name the one header that counts for the token."},
	{ID: "P9", Text: "Health is answered under any name and origin, and holds no data."},
	{ID: "P10", Text: "Any serialized origin but null can be allowed by its name."},
	{ID: "P11", Text: "Each refusal has one line in the log, with the reason by name and the number that is in the answer, and without a token."},
	{ID: "P12", Text: "Every call is answered within 50 seconds, with progress every ten. A question or a pick-up that takes longer stays open, and the same call again joins it."},
	{ID: "P13", Text: "Work for a client that has left is undone at once. No token is left that nobody holds, and a retry makes one."},
	{ID: "P18", Text: "A variable or a flag that looks like a setting and is none is named, with the one that was meant. One that looks like a restriction ends the start."},
	{ID: "P20", Text: "A setting that cannot be read is refused by name at the start. Nothing goes past a proxy that was asked for."},
	{ID: "P21", Text: "The cause of a failed request, and the setting that helps, reach the assistant, the terminal and the log. Waiting is advised only where it helps."},
	{ID: "P22", Text: "A token is said to be revoked only if the API's own list shows it. Otherwise the outcome is unknown, and the token is named as perhaps alive."},
	{ID: "P23", Text: "An answer of something between here and kenbun is never taken for kenbun's verdict."},
	{ID: "P24", Text: "The API's own code for an error decides over the status."},
	{ID: "P25", Text: "The API's reason for a refusal reaches the assistant as data: cleaned, cut and quoted."},
	{ID: "P26", Text: "A token that the API makes otherwise than asked is taken where it is no more than asked for. If not, the field is named, and nobody is told to call again."},
	{ID: "P27", Text: "Other spellings of no time are understood, and ages do not overflow."},
	{ID: "P28", Text: "A wait that is hard to read is neither none nor a year."},
	{ID: "P29", Text: "Names of all living scripts and every recommended emoji are taken, found and shown as typed, by every entrance alike. What is not seen is refused, with its code point and place."},
}

package settings

import (
	"cmp"
	"regexp"
	"runtime"
	"slices"
	"strings"
	"sync"
)

// Prefix begins the name of each environment variable of this program.
const Prefix = "KENBUN_"

// testPrefix begins the variables of the project's own tests.
const testPrefix = "KENBUN_TEST_"

// Names are the environment variables that a program knows.
type Names struct {
	// Read are those that it reads.
	Read []string
	// Unnamed are read, too, and never named in a message.
	Unnamed []string
	// Flags are those of flags that have no variable.
	Flags []string
}

// UnknownName is a variable that looks like a setting and is not one.
type UnknownName struct {
	Name string
	// Nearest is the setting that was likely meant, "" if none is near.
	Nearest string
	// Restricts reports that the name looks like a restriction. A program must
	// not start without a restriction that somebody believes to be set.
	Restricts bool
	// IsFlag reports that there is a flag of this name, which has no variable.
	IsFlag bool
}

// Unknown returns what looks like a setting in an environment, as os.Environ
// returns it, and is not one. Variables without a value are passed over, as are
// those of tests and those that an orchestrator sets for each of its services.
func (n Names) Unknown(environment []string) []UnknownName {
	var unknown []UnknownName
	for _, variable := range environment {
		name, value, _ := strings.Cut(variable, "=")
		if Trim(value) == "" || !isSetting(name) || n.knows(name) || isServiceLink(name, value) {
			continue
		}
		found := UnknownName{Name: name, Nearest: n.nearest(name)}
		found.IsFlag = slices.Contains(n.Flags, name)
		found.Restricts = !found.IsFlag && restricts(name, found.Nearest)
		unknown = append(unknown, found)
	}
	slices.SortFunc(unknown, func(a, b UnknownName) int { return cmp.Compare(a.Name, b.Name) })
	return unknown
}

// isSetting also takes the prefix in lower case and with a hyphen, which no
// program reads.
func isSetting(name string) bool {
	name = strings.ReplaceAll(strings.ToUpper(name), "-", "_")
	return strings.HasPrefix(name, Prefix) && !strings.HasPrefix(name, testPrefix)
}

func (n Names) knows(name string) bool {
	if runtime.GOOS == "windows" {
		name = strings.ToUpper(name) // names have no case there
	}
	return slices.Contains(n.Read, name) || slices.Contains(n.Unnamed, name)
}

// serviceLink is the form of what Kubernetes sets for each service, such as
// KENBUN_MCP_SERVICE_HOST for one that is called kenbun-mcp.
var serviceLink = sync.OnceValue(func() *regexp.Regexp {
	return regexp.MustCompile(`_SERVICE_HOST$|_SERVICE_PORT(_[A-Z0-9_]+)?$|_PORT_[0-9]+_(TCP|UDP|SCTP)(_(PROTO|PORT|ADDR))?$`)
})

func isServiceLink(name, value string) bool {
	address := strings.HasPrefix(value, "tcp://") || strings.HasPrefix(value, "udp://") || strings.HasPrefix(value, "sctp://")
	return serviceLink().MatchString(name) || strings.HasSuffix(name, "_PORT") && address
}

// words are a name's, without the prefixes that say whose it is.
func words(name string) []string {
	name = strings.ReplaceAll(strings.ToUpper(name), "-", "_")
	name = strings.TrimPrefix(name, Prefix)
	if rest, ok := strings.CutPrefix(name, "MCP_"); ok {
		name = rest
	}
	return strings.FieldsFunc(name, func(r rune) bool { return r == '_' })
}

func compact(name string) string { return strings.Join(words(name), "") }

// otherNames are names that other programs have for our settings.
var otherNames = map[string]string{
	"TOKEN": "PAT", "APIKEY": "PAT", "APITOKEN": "PAT", "ACCESSTOKEN": "PAT", "PERSONALACCESSTOKEN": "PAT", "KEY": "PAT",
	"SECRET": "PAT", "APISECRET": "PAT", "AUTHTOKEN": "PAT", "BEARERTOKEN": "PAT", "BEARER": "PAT", "AUTH": "PAT", "AUTHORIZATION": "PAT",
	"CREDENTIAL": "PAT", "CREDENTIALS": "PAT", "USERTOKEN": "PAT", "PATTOKEN": "PAT", "TOKENVALUE": "PAT", "PASSWORD": "PAT",
	"TOKENFILE": "PAT_FILE", "APIKEYFILE": "PAT_FILE", "APITOKENFILE": "PAT_FILE", "ACCESSTOKENFILE": "PAT_FILE", "PATPATH": "PAT_FILE",
	"TOKENPATH": "PAT_FILE", "TOKENCOMMAND": "PAT_COMMAND", "TOKENCMD": "PAT_COMMAND", "PATCMD": "PAT_COMMAND", "APIKEYCOMMAND": "PAT_COMMAND",
	"URL": "API_URL", "BASEURL": "API_URL", "APIBASEURL": "API_URL", "ENDPOINT": "API_URL", "APIENDPOINT": "API_URL", "APIHOST": "API_URL",
	"HOST": "API_URL", "SERVERURL": "API_URL", "API": "API_URL",
	"SESSION": "SESSION_TOKEN", "SESSIONKEY": "SESSION_TOKEN",
	"DENYTOOLS": "EXCLUDE_TOOLS", "DENIEDTOOLS": "EXCLUDE_TOOLS", "BLOCKTOOLS": "EXCLUDE_TOOLS", "BLOCKEDTOOLS": "EXCLUDE_TOOLS",
	"DISABLETOOLS": "EXCLUDE_TOOLS", "DISABLEDTOOLS": "EXCLUDE_TOOLS", "DISALLOWEDTOOLS": "EXCLUDE_TOOLS", "HIDETOOLS": "EXCLUDE_TOOLS",
	"FORBIDDENTOOLS": "EXCLUDE_TOOLS", "EXCLUDE": "EXCLUDE_TOOLS", "EXCLUDED": "EXCLUDE_TOOLS", "EXCLUDEDTOOLS": "EXCLUDE_TOOLS",
	"TOOLSDENY": "EXCLUDE_TOOLS", "NOTOOLS": "EXCLUDE_TOOLS", "DENY": "EXCLUDE_TOOLS", "DENYLIST": "EXCLUDE_TOOLS",
	"ALLOWTOOLS": "TOOLS", "ALLOWEDTOOLS": "TOOLS", "ENABLETOOLS": "TOOLS", "ENABLEDTOOLS": "TOOLS", "ONLYTOOLS": "TOOLS",
	"INCLUDETOOLS": "TOOLS", "TOOLSALLOW": "TOOLS", "ALLOW": "TOOLS", "ALLOWLIST": "TOOLS",
	"MAXLIFETIME": "MAX_TOKEN_LIFETIME", "TOKENLIFETIME": "MAX_TOKEN_LIFETIME", "MAXTTL": "MAX_TOKEN_LIFETIME", "TOKENTTL": "MAX_TOKEN_LIFETIME",
	"MAXEXPIRY": "MAX_TOKEN_LIFETIME", "READ": "READ_ONLY", "RO": "READ_ONLY", "SAFEMODE": "READ_ONLY", "DRYRUN": "READ_ONLY",
	"DEBUG": "LOG_LEVEL", "VERBOSE": "LOG_LEVEL", "LOG": "LOG_LEVEL", "PORT": "LISTEN", "BIND": "LISTEN", "ADDR": "LISTEN", "LISTENADDRESS": "LISTEN",
	"CACERT": "CA_FILE", "CACERTS": "CA_FILE", "CABUNDLE": "CA_FILE", "CERTFILE": "CA_FILE", "SSLCERTFILE": "CA_FILE", "CAPATH": "CA_FILE",
	"CONFIRM": "APPROVAL", "APPROVE": "APPROVAL", "AUTOAPPROVE": "APPROVAL",
}

// nearest returns the setting that was likely meant by name.
func (n Names) nearest(name string) string {
	if other, ok := otherNames[compact(name)]; ok && slices.Contains(n.Read, Prefix+other) {
		return Prefix + other
	}
	if near := Nearest(name, n.Read, compact); near != "" {
		return near
	}
	meant := words(name)
	best := ""
	for _, candidate := range n.Read {
		has := words(candidate)
		missing := slices.ContainsFunc(meant, func(word string) bool { return !slices.Contains(has, word) })
		if len(meant) > 1 && !missing && (best == "" || len(candidate) < len(best)) {
			best = candidate
		}
	}
	if best != "" {
		return best
	}
	for _, candidate := range n.Read {
		if beginsWith(meant, words(candidate)) && len(candidate) > len(best) {
			best = candidate
		}
	}
	return best
}

// beginsWith reports whether name goes on where candidate ends. The last of several
// words may be cut short in candidate, as in DELIVER_DIR for DELIVER_DIRECTORY.
func beginsWith(name, candidate []string) bool {
	last := len(candidate) - 1
	if last < 0 || last >= len(name) || !slices.Equal(name[:last], candidate[:last]) {
		return false
	}
	return name[last] == candidate[last] || last > 0 && strings.HasPrefix(name[last], candidate[last])
}

// Nearest returns the candidate that name is a misspelling of, or "". Names are
// compared as normal gives them.
func Nearest(name string, candidates []string, normal func(string) string) string {
	meant := normal(name)
	best, least := "", max(1, len(meant)/4)+1
	for _, candidate := range candidates {
		if distance := edits(meant, normal(candidate)); distance < least && distance < len(meant) {
			best, least = candidate, distance
		}
	}
	return best
}

// edits counts the letters to add, remove, exchange or swap with their neighbour
// to make b of a.
func edits(a, b string) int {
	before, last := make([]int, len(b)+1), make([]int, len(b)+1)
	for j := range last {
		last[j] = j
	}
	for i := range len(a) {
		row := make([]int, len(b)+1)
		row[0] = i + 1
		for j := range len(b) {
			cost := 1
			if a[i] == b[j] {
				cost = 0
			}
			row[j+1] = min(last[j+1]+1, row[j]+1, last[j]+cost)
			if i > 0 && j > 0 && a[i] == b[j-1] && a[i-1] == b[j] {
				row[j+1] = min(row[j+1], before[j-1]+1)
			}
		}
		before, last = last, row
	}
	return last[len(b)]
}

// restrictingSettings are the settings that take something away.
var restrictingSettings = []string{
	"READ_ONLY", "TOOLSETS", "TOOLS", "EXCLUDE_TOOLS", "MAX_TOKEN_LIFETIME", "MAX_CHANGES_PER_MINUTE", "MAX_TOKENS_PER_DAY",
	"ALLOW_NEVER_EXPIRING", "ALLOW_SELF_REVOKE", "APPROVAL", "RATE_LIMIT", "RATE_LIMIT_ADDRESS", "ALLOWED_HOST", "ALLOWED_ORIGIN",
	"TOKEN_LIMIT", "CLAIM_LIFETIME", "SESSION_IDLE",
}

// restrictingParts make a name look like a restriction wherever they stand in it,
// restrictingWords as words of their own, also misspelled if they are long.
var (
	restrictingParts = []string{
		"READONLY", "APPROV", "TOOL", "EXCLU", "ALLOW", "DENY", "DENIE", "FORBID", "BLOCK", "RESTRICT", "LIMIT", "DISABLE", "PROHIBIT",
		"LIFETIME", "CONFIRM", "POLICY", "REQUIRE",
	}
	restrictingWords = []string{
		"MAX", "MAXIMUM", "ONLY", "NO", "NEVER", "WITHOUT", "SAFE", "DRYRUN", "READONLY", "APPROVAL", "EXCLUDE", "ALLOWED", "RESTRICTED", "TOOLS", "TOOLSETS",
		"LIFETIME",
	}
)

func restricts(name, nearest string) bool {
	if slices.Contains(restrictingSettings, strings.TrimPrefix(nearest, Prefix)) {
		return true
	}
	whole := compact(name)
	for _, part := range restrictingParts {
		if strings.Contains(whole, part) {
			return true
		}
	}
	for _, word := range words(name) {
		if strings.HasPrefix(word, "MAX") {
			return true
		}
		for _, known := range restrictingWords {
			if word == known || len(word) > 4 && len(known) > 4 && edits(word, known) < 2 {
				return true
			}
		}
	}
	return false
}

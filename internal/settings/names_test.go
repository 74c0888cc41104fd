package settings

import (
	"testing"
)

// names are as many of the program's as the tests need.
var names = Names{
	Read: []string{
		"KENBUN_PAT", "KENBUN_PAT_FILE", "KENBUN_PAT_COMMAND", "KENBUN_API_URL", "KENBUN_TOKENS", "KENBUN_LOG_LEVEL", "KENBUN_DELIVER", "KENBUN_DELIVER_DIR",
		"KENBUN_READ_ONLY", "KENBUN_APPROVAL", "KENBUN_TOOLS", "KENBUN_TOOLSETS", "KENBUN_EXCLUDE_TOOLS", "KENBUN_MAX_TOKEN_LIFETIME",
		"KENBUN_MAX_TOKENS_PER_DAY", "KENBUN_MAX_CHANGES_PER_MINUTE", "KENBUN_RATE_LIMIT", "KENBUN_ALLOWED_HOST", "KENBUN_SERVER",
	},
	Unnamed: []string{"KENBUN_ALLOW_AGENT"},
	Flags:   []string{"KENBUN_JSON"},
}

func TestP18_TheNearestSettingIsFound(t *testing.T) {
	for name, want := range map[string]UnknownName{
		"KENBUN_TOKEN":              {Nearest: "KENBUN_PAT"},
		"KENBUN_API_KEY":            {Nearest: "KENBUN_PAT"},
		"kenbun_pat":                {Nearest: "KENBUN_PAT"},
		"KENBUN-PAT":                {Nearest: "KENBUN_PAT"},
		"KENBUN_MCP_PAT":            {Nearest: "KENBUN_PAT"},
		"KENBUN_PTA":                {Nearest: "KENBUN_PAT"},
		"KENBUN_TOKEN_FILE":         {Nearest: "KENBUN_PAT_FILE"},
		"KENBUN_URL":                {Nearest: "KENBUN_API_URL"},
		"KENBUN_LOGLEVEL":           {Nearest: "KENBUN_LOG_LEVEL"},
		"KENBUN_DELIVERY_DIR":       {Nearest: "KENBUN_DELIVER_DIR"},
		"KENBUN_DELIVER_DIRECTORY":  {Nearest: "KENBUN_DELIVER_DIR"},
		"KENBUN_DELIVER_TO":         {Nearest: "KENBUN_DELIVER"},
		"KENBUN_PATTERN":            {},
		"KENBUN_SERVERLESS":         {},
		"KENBUN_SOMETHING_ELSE":     {},
		"KENBUN_ID":                 {},
		"KENBUN_PROGRAM":            {},
		"KENBUN_JSON":               {IsFlag: true},
		"KENBUN_READONLY":           {Nearest: "KENBUN_READ_ONLY", Restricts: true},
		"KENBUN_READ_ONY":           {Nearest: "KENBUN_READ_ONLY", Restricts: true},
		"KENBUN_READ-ONLY":          {Nearest: "KENBUN_READ_ONLY", Restricts: true},
		"KENBUN_READ_ONLY_MODE":     {Nearest: "KENBUN_READ_ONLY", Restricts: true},
		"KENBUN_MCP_READ_ONLY":      {Nearest: "KENBUN_READ_ONLY", Restricts: true},
		"Kenbun_Read_Only":          {Nearest: "KENBUN_READ_ONLY", Restricts: true},
		"KENBUN_DRY_RUN":            {Nearest: "KENBUN_READ_ONLY", Restricts: true},
		"KENBUN_APROVAL":            {Nearest: "KENBUN_APPROVAL", Restricts: true},
		"KENBUN_APPROVALS":          {Nearest: "KENBUN_APPROVAL", Restricts: true},
		"KENBUN_TOOL":               {Nearest: "KENBUN_TOOLS", Restricts: true},
		"KENBUN_TOOSL":              {Nearest: "KENBUN_TOOLS", Restricts: true},
		"KENBUN_ALLOWED_TOOLS":      {Nearest: "KENBUN_TOOLS", Restricts: true},
		"KENBUN_TOOLSET":            {Nearest: "KENBUN_TOOLSETS", Restricts: true},
		"KENBUN_EXCLUDE":            {Nearest: "KENBUN_EXCLUDE_TOOLS", Restricts: true},
		"KENBUN_EXLUDE_TOOLS":       {Nearest: "KENBUN_EXCLUDE_TOOLS", Restricts: true},
		"KENBUN_TOOLS_EXCLUDE":      {Nearest: "KENBUN_EXCLUDE_TOOLS", Restricts: true},
		"KENBUN_DENY_TOOLS":         {Nearest: "KENBUN_EXCLUDE_TOOLS", Restricts: true},
		"KENBUN_DISABLED_TOOLS":     {Nearest: "KENBUN_EXCLUDE_TOOLS", Restricts: true},
		"KENBUN_MAX_LIFETIME":       {Nearest: "KENBUN_MAX_TOKEN_LIFETIME", Restricts: true},
		"KENBUN_MAXTOKENSPERDAY":    {Nearest: "KENBUN_MAX_TOKENS_PER_DAY", Restricts: true},
		"KENBUN_CHANGES_PER_MINUTE": {Nearest: "KENBUN_MAX_CHANGES_PER_MINUTE", Restricts: true},
		"KENBUN_RATELIMIT":          {Nearest: "KENBUN_RATE_LIMIT", Restricts: true},
		"KENBUN_ALLOWED_HOSTS":      {Nearest: "KENBUN_ALLOWED_HOST", Restricts: true},
		"KENBUN_NO_REVOKE":          {Restricts: true},
		"KENBUN_NEVER_EXPIRING":     {Restricts: true},
		"KENBUN_MAX_SOMETHING":      {Restricts: true},
		"KENBUN_FORBID":             {Restricts: true},
		"KENBUN_ALLOW_AGNT":         {Restricts: true},
	} {
		want.Name = name
		if got := names.Unknown([]string{name + "=x"}); len(got) != 1 || got[0] != want {
			t.Errorf("%s is %+v, want %+v", name, got, want)
		}
	}
}

func TestP18_OtherVariablesAreNoSettings(t *testing.T) {
	for _, variable := range []string{
		"KENBUN_PAT=x", "KENBUN_ALLOW_AGENT=1", "KENBUN_READONLY=", "KENBUN_READONLY= ", "KENBUN_TEST_REQUIRE=all", "READONLY=1", "MY_KENBUN_READONLY=1",
		"KENBUN_MCP_SERVICE_HOST=10.0.0.1", "KENBUN_MCP_SERVICE_PORT=8765", "KENBUN_MCP_SERVICE_PORT_HTTP=8765",
		"KENBUN_TOOLS_PORT=tcp://10.0.0.1:8765", "KENBUN_TOOLS_PORT_8765_TCP=tcp://10.0.0.1:8765", "KENBUN_TOOLS_PORT_8765_TCP_ADDR=10.0.0.1",
	} {
		if got := names.Unknown([]string{variable}); len(got) > 0 {
			t.Errorf("%s is taken for %+v", variable, got)
		}
	}
}

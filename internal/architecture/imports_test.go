package architecture

import (
	"go/parser"
	"go/token"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"
)

const module = "github.com/kenbun/kenbun-mcp"

const everything = "*"

// allowed says which packages of this module a package may import. What a
// package may not import, it is told the reason for.
var allowed = map[string]struct {
	imports []string
	why     string
}{
	"client": {[]string{"internal/ascii", "internal/intermediary", "internal/keylock", "internal/netproblem", "internal/plaintext", "internal/proxy", "internal/redact", "internal/settings", "internal/trust"},
		"the client is a library: whoever imports it gets the kenbun API and nothing of this server. Which characters are invisible, and how files are read as users write them, is decided in one place, though"},

	"internal/authority": {[]string{"internal/authority/api", "internal/authority/domain", "internal/authority/exchange", "internal/authority/faults", "internal/authority/limits", "internal/authority/pepper", "internal/authority/store", "internal/authority/usage", "internal/authority/web"},
		"it puts the parts of the embedded API together. That API stands on the other side of the wire; shared code would hide what the wire really carries. Talk to it over HTTP, and import leaf packages alone"},
	"internal/authority/domain":   {[]string{"internal/plaintext"}, "it knows neither SQL nor HTTP"},
	"internal/authority/faults":   {[]string{"internal/authority/domain", "internal/plaintext"}, "it decides which requests fail, and knows none of them"},
	"internal/authority/limits":   {[]string{"internal/authority/domain", "internal/plaintext"}, "it counts requests, and knows nothing of what they are about"},
	"internal/authority/pepper":   {[]string{"internal/authority/domain", "internal/privatefile", "internal/settings"}, "it knows the store through its own interface"},
	"internal/authority/usage":    {[]string{"internal/authority/domain"}, "it knows the store through its own interface"},
	"internal/authority/store":    {[]string{"internal/authority/domain", "internal/privatefile"}, "it implements the interfaces of those who keep something, and decides nothing"},
	"internal/authority/exchange": {[]string{"internal/authority/domain", "internal/authority/limits", "internal/clientaddress"}, "it is HTTP without SQL: what it needs of a store, package domain asks for"},
	"internal/authority/api":      {[]string{"internal/ascii", "internal/authority/domain", "internal/authority/exchange", "internal/authority/faults", "internal/authority/limits", "internal/authority/usage", "internal/plaintext"}, "it is HTTP without SQL: what it needs of a store, package domain asks for"},
	"internal/authority/web":      {[]string{"internal/ascii", "internal/authority/domain", "internal/authority/exchange", "internal/plaintext", "internal/webui"}, "it is HTTP without SQL: what it needs of a store, package domain asks for"},
	"internal/authority/embedded": {[]string{"internal/authority", "internal/authority/domain", "internal/authority/faults", "internal/authority/limits", "internal/authority/store", "internal/privatefile", "internal/settings"}, "it starts an authority in this process, and is a client of nobody"},
	"internal/clientaddress":      {nil, "it is at the bottom; keep it free of everything else"},

	"internal/agent":          {nil, "it is at the bottom; keep it free of everything else"},
	"internal/ascii":          {nil, "it is at the bottom; keep it free of everything else"},
	"internal/redact":         {nil, "it is at the bottom; keep it free of everything else"},
	"internal/plaintext":      {nil, "it is at the bottom; keep it free of everything else"},
	"internal/settings":       {[]string{"internal/plaintext"}, "it holds the rules for what users write, and reads no flags"},
	"internal/humantime":      {nil, "it is at the bottom; keep it free of everything else"},
	"internal/terminal":       {nil, "it is at the bottom; keep it free of everything else"},
	"internal/webui":          {nil, "it renders the pages of both sides of the wire, and knows nothing of what they show"},
	"internal/architecture":   {nil, "it only reads source files"},
	"internal/requirements":   {nil, "it only reads source files"},
	"internal/intermediary":   {[]string{"internal/ascii"}, "it looks at answers, and knows nothing of what was asked"},
	"internal/netproblem":     {[]string{"internal/proxy"}, "it words what went wrong with any connection, and knows nothing of what that was for"},
	"internal/proxy":          {nil, "it is at the bottom; keep it free of everything else"},
	"internal/trust":          {[]string{"internal/ascii", "internal/settings"}, "it decides which connections are trusted, and knows nothing of what they carry"},
	"internal/peer":           {nil, "it is at the bottom; keep it free of everything else"},
	"internal/ratelimit":      {nil, "it is at the bottom; keep it free of everything else"},
	"internal/state":          {[]string{"internal/netproblem", "internal/privatefile", "internal/ratelimit", "internal/settings", "internal/trust"}, "it keeps bytes for whoever needs them, and knows nothing of what they mean"},
	"internal/claim":          {[]string{"client", "internal/ascii", "internal/claimkey", "internal/intermediary", "internal/netproblem", "internal/plaintext", "internal/privatefile", "internal/proxy", "internal/redact", "internal/trust"}, "fetching a claim is a client's side: it talks with a server over HTTP, and shares no code with it but the cryptography"},
	"internal/claimkey":       {nil, "it is at the bottom; keep it free of everything else"},
	"internal/logging":        {[]string{"internal/plaintext", "internal/redact"}, "it cleans whatever is logged, and knows nothing of what that means"},
	"internal/telemetry":      {[]string{"internal/ascii", "internal/netproblem", "internal/proxy", "internal/trust"}, "it counts and traces by names that it is given; what they stand for is the business of cmd, which ties it to the rest"},
	"internal/privatefile":    {nil, "it is at the bottom; keep it free of everything else"},
	"internal/unixsocket":     {[]string{"internal/privatefile"}, "it listens for whoever needs it, and knows nothing of what is served"},
	"internal/keychain":       {[]string{"client"}, "it keeps secrets for whoever needs them, and knows nothing of what they are for"},
	"internal/auditlog":       {[]string{"tools/audit", "internal/privatefile"}, "it writes down what others tell it, and knows nothing of how things are done"},
	"internal/credential":     {[]string{"client", "internal/keychain", "internal/privatefile", "internal/settings"}, "where a token comes from has nothing to do with tools or transports"},
	"internal/keylock":        {nil, "it is at the bottom; keep it free of everything else"},
	"tools/changelimit":       {nil, "it counts changes, and knows nothing of what they are"},
	"internal/human/delivery": {[]string{"client", "tools", "tools/approval", "tools/audit", "tools/tokens", "internal/claimkey", "internal/keychain", "internal/privatefile", "internal/settings"}, "delivery methods implement what tools asks for and know no transport"},
	"internal/human/pages":    {[]string{"client", "tools", "tools/approval", "tools/audit", "tools/tokens", "internal/human/delivery", "internal/peer", "internal/privatefile", "internal/webui"}, "the pages implement what tools asks for and know no transport but their own"},
	"internal/human/claims":   {[]string{"client", "tools", "tools/approval", "tools/audit", "tools/tokens", "internal/claimkey", "internal/human/delivery", "internal/humantime", "internal/ratelimit", "internal/state", "internal/webui"}, "claims implement what tools asks for; the server decides who may ask for them"},
	"internal/human/journal":  {[]string{"client", "tools", "tools/approval", "tools/audit", "tools/tokens", "internal/plaintext", "internal/privatefile"}, "the journal implements what tools asks for, and knows no delivery method"},
	"tools/audit":             {[]string{"internal/plaintext", "internal/redact"}, "it describes changes, and knows nothing of how they are made"},
	"tools": {[]string{"client", "tools/audit", "tools/changelimit", "internal/humantime", "internal/keylock", "internal/logging", "internal/plaintext", "internal/redact"},
		"the framework knows no transport, no delivery method and none of the tools: declare a small interface here, and implement it where the rest is"},
	"tools/approval": {[]string{"tools", "tools/audit", "internal/humantime", "internal/plaintext"},
		"it asks the user for any toolset, and knows none of them"},
	"tools/identity": {[]string{"client", "tools", "internal/humantime"},
		"a toolset imports the framework, and never another toolset: what two of them need belongs into tools"},
	"tools/tokens": {[]string{"client", "tools", "tools/approval", "tools/audit", "tools/changelimit", "internal/humantime", "internal/keylock", "internal/plaintext", "internal/redact"},
		"a toolset imports the framework, and never another toolset: what two of them need belongs into tools"},
	"tools/toolsets": {[]string{"tools", "tools/approval", "tools/audit", "tools/identity", "tools/tokens"},
		"it lists the toolsets and joins them with their surroundings; it decides nothing"},
	"server": {[]string{"client", "tools", "server/claims", "server/edge", "server/identity", "server/internal/conformance", "server/internal/rpc", "server/stdio", "server/streamable", "internal/human/claims", "internal/human/delivery"},
		"the server gets what it needs from cmd through its Config; it starts no API and reads no environment"},
	"server/claims": {[]string{"client", "tools", "server/edge", "server/identity", "internal/claimkey", "internal/human/claims"},
		"its pages hand out secrets. They must work whatever becomes of MCP, and share nothing with its transports"},
	"server/identity": {[]string{"client", "tools", "server/edge", "internal/ascii", "internal/peer", "internal/ratelimit", "internal/redact"},
		"which user a request comes from must not depend on what it asks for"},
	"server/internal/conformance": {nil, "it holds fixtures, which must not reach into the server that they test"},
	"server/internal/rpc": {[]string{"tools", "internal/redact"},
		"a message means the same whichever way it came; what differs belongs into the transports"},
	"server/stdio":      {[]string{"tools", "server/internal/rpc"}, "one process serves one user here: HTTP and its identities have no place in it"},
	"server/streamable": {[]string{"tools", "server/edge", "server/identity", "server/internal/rpc"}, "it carries messages, and leaves to its callers which tools there are and who may call them"},
	"server/edge": {[]string{"internal/ascii", "internal/clientaddress", "internal/peer", "internal/privatefile", "internal/ratelimit", "internal/settings"},
		"it protects any HTTP handler. With MCP, tokens or tools in it, nobody could tell any more what a stranger's request meets first"},
	"internal/demo":                {[]string{"internal/authority", "internal/terminal"}, "the demonstration is a client: it speaks MCP with the program as a child, and must not call its functions"},
	"internal/bench":               {[]string{"client", "internal/authority"}, "the benchmark measures the built program from outside"},
	"internal/bench/bare":          {nil, "it is the measure of what a server costs without ours"},
	"internal/bench/proxy":         {nil, "it is the measure of what a hop costs without ours"},
	"internal/kenbuntest":          {[]string{"client", "internal/authority", "internal/kenbuntest/atend", "internal/kenbuntest/freeport", "internal/kenbuntest/postgres", "internal/kenbuntest/require"}, "it serves the tests of all other packages, which could not import it if it imported them"},
	"internal/kenbuntest/postgres": {[]string{"internal/kenbuntest/atend", "internal/kenbuntest/freeport", "internal/kenbuntest/require"}, "it serves the tests of internal/authority too, which could not import it if it imported that"},
	"internal/kenbuntest/freeport": {nil, "it is at the bottom; keep it free of everything else"},
	"internal/kenbuntest/marks":    {nil, "it is at the bottom; keep it free of everything else"},
	"internal/kenbuntest/require":  {nil, "it is at the bottom; keep it free of everything else"},
	"internal/kenbuntest/atend":    {nil, "it is at the bottom; keep it free of everything else"},
	"internal/kenbuntest/size":     {[]string{"internal/kenbuntest/require"}, "it serves the tests of all other packages, which could not import it if it imported them"},
	"internal/kenbuntest/names":    {nil, "it is at the bottom; keep it free of everything else"},
	"internal/kenbuntest/bend":     {nil, "it stands on the other side of the wire, and serves the tests of all other packages"},
	"internal/kenbuntest/chromium": {[]string{"internal/kenbuntest/atend", "internal/kenbuntest/require"}, "it drives a browser for the tests of any package, and knows none of their pages"},
	"examples/go":                  {[]string{"client"}, "the example shows what a user of the library can do"},
	"internal/cli":                 {[]string{everything}, ""},
	"internal/cli/audit":           {[]string{everything}, ""},
	"internal/cli/authority":       {[]string{everything}, ""},
	"internal/cli/claim":           {[]string{everything}, ""},
	"internal/cli/command":         {[]string{"client", "tools", "internal/agent", "internal/credential", "internal/settings", "internal/terminal"}, "every command uses it, so it knows none of them, and neither servers nor connections"},
	"internal/cli/connect":         {[]string{everything}, ""},
	"internal/cli/login":           {[]string{everything}, ""},
	"internal/cli/process":         {nil, "it is about the process, whatever that runs"},
	"internal/cli/serve":           {[]string{everything}, ""},
	"internal/cli/tokens":          {[]string{everything}, ""},
	"cmd/kenbun-mcp":               {[]string{"internal/cli", "internal/cli/process"}, "the program is main.go; commands are in internal/cli"},
}

// mcpLibrary may be imported where tools are defined and served, and where the
// program plays a client.
const mcpLibrary = "github.com/mark3labs/mcp-go"

var mayImportMCP = []string{"tools", "tools/approval", "server", "server/internal/conformance", "server/internal/rpc", "server/stdio", "server/streamable", "internal/demo", "internal/bench/bare"}

// telemetryLibraries may be imported where telemetry is made, so that whoever
// tells of something needs no more than a small interface. The API of
// OpenTelemetry, without its SDK, may be imported by the server as well.
var telemetryLibraries = []string{"github.com/prometheus/", "go.opentelemetry.io/"}

func mayImportTelemetry(folder, imported string) bool {
	isAPI := strings.HasPrefix(imported, "go.opentelemetry.io/otel/") && !strings.HasPrefix(imported, "go.opentelemetry.io/otel/sdk") &&
		!strings.HasPrefix(imported, "go.opentelemetry.io/otel/exporters")
	return folder == "internal/telemetry" || (folder == "server" || folder == "server/internal/rpc") && isAPI
}

func TestImportsFollowTheRules(t *testing.T) {
	root := filepath.Join("..", "..")
	err := filepath.WalkDir(root, func(path string, entry fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if entry.IsDir() && (strings.HasPrefix(entry.Name(), ".") && path != root || entry.Name() == "node_modules" || entry.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return nil
		}
		relative, err := filepath.Rel(root, path)
		if err != nil {
			return err
		}
		checkFile(t, path, filepath.ToSlash(relative))
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
}

func checkFile(t *testing.T, path, name string) {
	t.Helper()
	file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
	if err != nil {
		t.Fatal(err)
	}
	folder := name[:max(strings.LastIndex(name, "/"), 0)]
	rule, known := allowed[folder]
	if !known {
		t.Errorf("%s: the package %q is new: say in internal/architecture/imports_test.go what it may import, and why", name, folder)
		return
	}
	for _, spec := range file.Imports {
		imported, err := strconv.Unquote(spec.Path.Value)
		if err != nil {
			t.Fatal(err)
		}
		if strings.HasPrefix(imported, mcpLibrary) && !slices.Contains(mayImportMCP, folder) {
			t.Errorf("%s imports %s: only %s may. Put what needs the MCP library into tools or server, behind an interface without its types",
				name, imported, strings.Join(mayImportMCP, ", "))
		}
		if slices.ContainsFunc(telemetryLibraries, func(library string) bool { return strings.HasPrefix(imported, library) }) && !mayImportTelemetry(folder, imported) {
			t.Errorf("%s imports %s: only internal/telemetry may, and server the API of OpenTelemetry. Declare a small interface, and implement it there", name, imported)
		}
		if strings.HasPrefix(imported, "google.golang.org/grpc") {
			t.Errorf("%s imports %s: it costs each start over stdio a millisecond and more", name, imported)
		}
		if imported == "testing" && folder != "internal/kenbuntest" && !strings.HasPrefix(folder, "internal/kenbuntest/") {
			t.Errorf("%s imports testing: move it into a _test.go file or into internal/kenbuntest or below it", name)
		}
		ours, isOurs := strings.CutPrefix(imported, module+"/")
		if strings.HasPrefix(ours+"/", "internal/cli/") && !strings.HasPrefix(folder+"/", "internal/cli/") && folder != "cmd/kenbun-mcp" {
			t.Errorf("%s imports %s: commands are what a user runs. Put what others need into a package of its own", name, ours)
		}
		if !isOurs || slices.Contains(rule.imports, everything) {
			continue
		}
		if !slices.Contains(rule.imports, ours) {
			t.Errorf("%s imports %s: %s", name, ours, rule.why)
		}
	}
}

// TestEveryRuleIsUsed keeps the table from naming packages that are gone.
func TestEveryRuleIsUsed(t *testing.T) {
	for folder := range allowed {
		if _, err := os.Stat(filepath.Join("..", "..", filepath.FromSlash(folder))); err != nil {
			t.Errorf("the rule for %q is about nothing: take it out of the table (%v)", folder, err)
		}
	}
}

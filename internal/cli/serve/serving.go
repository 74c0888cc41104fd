// Package serve has the commands stdio and http, which run the MCP server.
package serve

import (
	"log/slog"
	"strings"

	"github.com/spf13/cobra"

	auditcommand "github.com/kenbun/kenbun-mcp/internal/cli/audit"
	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/cli/connect"
	"github.com/kenbun/kenbun-mcp/internal/logging"
	"github.com/kenbun/kenbun-mcp/server"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/audit"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// servingFlags are the operator's ceiling and roads: what stdio and http have
// in common.
type servingFlags struct {
	readOnly           bool
	toolsets           []string
	tools              []string
	excludeTools       []string
	maxCreations       int
	maxTokenLifetime   string
	maxChanges         int
	allowNeverExpiring bool
	allowSelfRevoke    bool
	apiExtensions      bool
	approval           string
	road               roadFlags
	journal            journalFlags
	audit              auditcommand.Flags
	logLevel           string
	logFormat          string
	// watch is what the operator is told; whoever serves sets it.
	watch *watch
}

func (f *servingFlags) add(cmd *cobra.Command, logLevel string) {
	defer command.Settings(cmd.Flags(), command.Policy)()
	flags := cmd.Flags()
	flags.BoolVar(&f.readOnly, "read-only", false, "offer only tools that change nothing")
	command.ListVar(flags, &f.toolsets, "toolsets", "offer only these toolsets: "+strings.Join(toolsetNames(), ", "))
	command.ListVar(flags, &f.tools, "tools", "offer only these tools")
	command.ListVar(flags, &f.excludeTools, "exclude-tools", "do not offer these tools")
	flags.StringVar(&f.maxTokenLifetime, "max-token-lifetime", "365d", "maximum lifetime of new tokens, such as 90d or 12h")
	flags.BoolVar(&f.allowNeverExpiring, "allow-never-expiring", false, "let the user approve tokens that never expire")
	flags.BoolVar(&f.allowSelfRevoke, "allow-self-revoke", false, "let tools revoke the token in use")
	flags.BoolVar(&f.apiExtensions, "api-extensions", false, "the API supports token permissions, valid-from dates and updates")
	flags.StringVar(&f.approval, "approval", string(tools.ApprovalAsk), `who approves what cannot be undone: "ask" (the user), "client" (its own prompt) or "deny"`)
	f.road.add(cmd)
	f.journal.add(cmd)
	limits := command.Settings(flags, command.Limits)
	flags.IntVar(&f.maxChanges, "max-changes-per-minute", tools.DefaultMaxChangesPerMinute, "token changes a minute for each user, or 0 for no limit")
	flags.IntVar(&f.maxCreations, "max-tokens-per-day", tools.DefaultMaxTokensPerDay, "new tokens in 24 hours for each user, or 0 for no limit")
	limits()
	defer command.Settings(flags, command.Logging)()
	flags.StringVar(&f.logLevel, "log-level", logLevel, "lowest level to log: debug, info, warn or error")
	flags.StringVar(&f.logFormat, "log-format", string(logging.Text), `format of the log: "text" or "json"`)
}

func toolsetNames() []string {
	var names []string
	for _, set := range toolsets.All() {
		names = append(names, set.Name)
	}
	return names
}

func (f *servingFlags) logger(cmd *cobra.Command) (*slog.Logger, error) {
	var level slog.Level
	if err := level.UnmarshalText([]byte(f.logLevel)); err != nil {
		return nil, command.Usagef("--log-level cannot be %q; use debug, info, warn or error", f.logLevel)
	}
	logger, err := logging.New(cmd.ErrOrStderr(), logging.Format(f.logFormat), level)
	if err != nil {
		return nil, command.Usagef("--log-format: %w", err)
	}
	return logger, nil
}

func (f *servingFlags) policy() (tools.Policy, error) {
	lifetime, err := command.ParseLifetime("--max-token-lifetime", f.maxTokenLifetime)
	if err != nil {
		return tools.Policy{}, err
	}
	policy := tools.Policy{
		ReadOnly:            f.readOnly,
		Toolsets:            f.toolsets,
		Only:                f.tools,
		Exclude:             f.excludeTools,
		MaxTokenLifetime:    lifetime,
		MinTokenLifetime:    min(tools.DefaultMinTokenLifetime, lifetime),
		MaxChangesPerMinute: f.maxChanges,
		MaxTokensPerDay:     f.maxCreations,
		AllowNeverExpiring:  f.allowNeverExpiring,
		AllowSelfRevoke:     f.allowSelfRevoke,
		Approval:            tools.Approval(f.approval),
	}
	policy, err = policy.Validate(toolsets.All())
	if err != nil {
		return tools.Policy{}, command.Usagef("%w", err)
	}
	return policy, nil
}

// newServer puts the MCP server together. forOwnUser tells that the server runs on
// the machine, and as the user, of the person behind it; ownCredentials that it
// acts with its own token and not with those of its callers.
func (f *servingFlags) newServer(c *connect.Connection, callers tools.Callers, forOwnUser, ownCredentials bool, shared *sharedState, auditor audit.Log, logger *slog.Logger) (*server.Server, error) {
	policy, err := f.policy()
	if err != nil {
		return nil, err
	}
	if policy, err = f.withPolicyFiles(policy, logger); err != nil {
		return nil, err
	}
	roads := f.road.open(logger)
	c.AlsoClose(roads.close)
	deliverer, err := roads.deliverer(forOwnUser, ownCredentials, shared)
	if err != nil {
		return nil, err
	}
	if f.road.deliver == roadInline {
		logger.Warn("new tokens are shown to the model (--deliver inline): they will stand in transcripts and logs of the client")
	}
	if policy.Approval == tools.ApprovalClient {
		logger.Warn("nobody is asked before a token is revoked (--approval client): the client's own prompt is trusted")
	}
	journal, err := f.journal.open(c)
	if err != nil {
		return nil, err
	}
	config := toolsets.Config{
		Callers:        callers,
		Deliverer:      deliverer,
		ApprovalMethod: roads.person(ownCredentials),
		Auditor:        auditor,
		StateKey:       shared.decisionKey(),
		Once:           shared.onceAmongReplicas(),
		Shared:         shared.counts(),
		Policy:         policy,
		Extensions:     c.Extended || f.apiExtensions,
		APIAddress:     c.API.BaseURL(),
		TerminalFlags:  c.TerminalFlags,
		Observer:       f.watch.observer(),
		Logger:         logger,
	}
	if journal != nil {
		config.Journal = journal
		c.AlsoClose(journal.Close)
	}
	if shared != nil && shared.claims != nil {
		config.Journal = shared.claims.WithClaims(config.Journal)
	}
	if ownCredentials {
		config.Keeper = c.Keeper
		config.Connector = roads.connector(c)
	}
	toolbox, err := toolsets.New(config)
	if err != nil {
		return nil, err
	}
	return server.New(server.Config{
		Version: command.Version(), Toolbox: toolbox, Logger: logger, Metrics: f.watch.serverMetrics(), Traces: f.watch.traces.Provider(),
	}), nil
}

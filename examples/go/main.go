// Command stale-tokens lists the personal access tokens of its user that were
// not used for ninety days, with the kenbun API as a Go library.
//
//	KENBUN_PAT_FILE=~/.config/kenbun/pat go run ./examples/go
package main

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/kenbun/kenbun-mcp/client"
)

const stale = 90 * 24 * time.Hour

func main() {
	if err := run(context.Background(), os.Stdout); err != nil {
		fmt.Fprintln(os.Stderr, "stale-tokens:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, out io.Writer) error {
	pat, err := readToken()
	if err != nil {
		return err
	}
	var options []client.Option
	if address := os.Getenv("KENBUN_API_URL"); address != "" {
		options = append(options, client.WithBaseURL(address))
	}
	kenbun, err := client.New(options...)
	if err != nil {
		return err
	}
	tokens, err := kenbun.As(client.Credential{PAT: pat}).ListTokens(ctx)
	if errors.Is(err, client.ErrUnauthenticated) {
		return fmt.Errorf("%w: was the token revoked, or not copied whole?", err)
	}
	if err != nil {
		return err
	}
	now := time.Now()
	for _, token := range tokens {
		lastUsed := token.CreatedAt
		if token.LastUsedAt != nil {
			lastUsed = *token.LastUsedAt
		}
		if token.Status(now) == client.StatusActive && now.Sub(lastUsed) > stale {
			fmt.Fprintf(out, "%s\t%q\n", token.Prefix, token.Name)
		}
	}
	return nil
}

// readToken takes the token from the file that KENBUN_PAT_FILE names.
func readToken() (client.Secret, error) {
	content, err := os.ReadFile(os.Getenv("KENBUN_PAT_FILE"))
	if err != nil {
		return client.Secret{}, fmt.Errorf("KENBUN_PAT_FILE: %w", err)
	}
	return client.ParsePAT(strings.TrimSpace(string(content)))
}

// Package proxy reads which proxy the environment asks for, and refuses what it
// cannot read: net/http would go past a proxy that is misspelled.
package proxy

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// RefusedError is a proxy that answered CONNECT with something but 200.
type RefusedError struct{ Status int }

// Error implements error.
func (e *RefusedError) Error() string {
	return fmt.Sprintf("the proxy answered CONNECT with status %d", e.Status)
}

// CheckAnswer is the OnProxyConnectResponse of a transport whose errors tell what its
// proxy answered, as a *[RefusedError].
func CheckAnswer(_ context.Context, _ *url.URL, _ *http.Request, answer *http.Response) error {
	if answer.StatusCode != http.StatusOK {
		return &RefusedError{answer.StatusCode}
	}
	return nil
}

// Check reports an error that names the variable, and never its value, if a
// connection to u would go past a proxy that the environment asks for. Connections to
// this machine itself need none.
func Check(u *url.URL) error {
	host := u.Hostname()
	if isLocal(host) {
		return nil
	}
	variable := "HTTPS_PROXY"
	if u.Scheme == "http" {
		variable = "HTTP_PROXY"
	}
	name, value := firstSet(variable, strings.ToLower(variable))
	noName, excluded := firstSet("NO_PROXY", "no_proxy")
	if value == "" {
		all, _ := firstSet("ALL_PROXY", "all_proxy")
		if all != "" && !isExcluded(host, excluded) {
			return fmt.Errorf("%s asks for a proxy, and only %s is read here: set %s to the proxy, or let NO_PROXY name %s", all, variable, variable, host)
		}
		return nil
	}
	if !isProxy(value) {
		return fmt.Errorf("%s cannot be read as the address of a proxy: it must be like http://user:password@proxy.example:8080, with special characters of the password written as %%XX", name)
	}
	for entry := range strings.SplitSeq(excluded, ",") {
		if entry = strings.TrimSpace(entry); !isEntry(entry) {
			return fmt.Errorf("%s cannot be read at %q: it must be hosts, domains, addresses or networks with commas between them", noName, entry)
		}
	}
	return nil
}

func firstSet(names ...string) (name, value string) {
	for _, name := range names {
		if value := os.Getenv(name); value != "" {
			return name, value
		}
	}
	return "", ""
}

// isProxy reads value as net/http does: a URL, or a host and a port.
func isProxy(value string) bool {
	if !strings.Contains(value, "://") {
		value = "http://" + value
	}
	u, err := url.Parse(value)
	if err != nil || u.Hostname() == "" {
		return false
	}
	switch u.Scheme {
	case "http", "https", "socks5", "socks5h":
		return true
	}
	return false
}

func isEntry(entry string) bool {
	if strings.ContainsAny(entry, " \t") || strings.Contains(entry, "://") {
		return false
	}
	if strings.Contains(entry, "/") {
		_, _, err := net.ParseCIDR(entry)
		return err == nil
	}
	return true
}

func isLocal(host string) bool {
	if strings.EqualFold(host, "localhost") {
		return true
	}
	address := net.ParseIP(host)
	return address != nil && address.IsLoopback()
}

// isExcluded reports whether the list names host or a domain above it.
func isExcluded(host, list string) bool {
	host = strings.ToLower(host)
	for entry := range strings.SplitSeq(strings.ToLower(list), ",") {
		entry = strings.TrimPrefix(strings.TrimSpace(entry), "*")
		if entry == "" && strings.Contains(list, "*") {
			return true
		}
		entry = strings.TrimPrefix(entry, ".")
		if entry != "" && (host == entry || strings.HasSuffix(host, "."+entry)) {
			return true
		}
	}
	return false
}

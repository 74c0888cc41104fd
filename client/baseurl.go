package client

import (
	"errors"
	"fmt"
	"net/netip"
	"net/url"
	"path"
	"strconv"
	"strings"
)

// parseBaseURL checks and normalises the address of the API. Its errors never
// repeat the text, which could hold a password.
func parseBaseURL(text string) (*url.URL, error) {
	if text == "" {
		return nil, fmt.Errorf("the API address is empty; leave it out for %s, or give one such as that", DefaultBaseURL)
	}
	u, err := url.Parse(text)
	if err != nil {
		return nil, fmt.Errorf("the API address is no URL; give one such as %s", DefaultBaseURL)
	}
	switch {
	case u.User != nil:
		return nil, errors.New("the API address must not hold a user name or password; the token is given on its own")
	case u.RawQuery != "" || u.ForceQuery:
		return nil, errors.New(`the API address must not have a query; remove the "?" and what follows it`)
	case u.Fragment != "" || strings.Contains(text, "#"):
		return nil, errors.New(`the API address must not have a fragment; remove the "#" and what follows it`)
	case u.Scheme != "https" && u.Scheme != "http":
		return nil, fmt.Errorf("the API address must begin with https://; give one such as %s", DefaultBaseURL)
	case u.Hostname() == "":
		return nil, fmt.Errorf("the API address names no host; give one such as %s", DefaultBaseURL)
	case u.Scheme == "http" && !isLoopbackHost(u.Hostname()):
		return nil, errors.New("the API address must begin with https://, since a token would travel in the clear; http:// is for localhost, 127.0.0.0/8 and [::1] only")
	}
	for _, r := range u.Host {
		if r <= ' ' || r >= 0x7f {
			return nil, errors.New(`the host of the API address must be plain ASCII; write international names in their "xn--" form`)
		}
	}
	if port := u.Port(); port != "" {
		if n, err := strconv.ParseUint(port, 10, 16); err != nil || n == 0 {
			return nil, errors.New("the port of the API address must be a number from 1 to 65535")
		}
	}
	u.Host = strings.TrimSuffix(asciiLower(u.Host), ":")
	u.Path = strings.TrimRight(u.Path, "/")
	u.RawPath = strings.TrimRight(u.RawPath, "/")
	if u.Path != "" && path.Clean(u.Path) != u.Path {
		return nil, errors.New(`the path of the API address must not have empty parts, "." or ".."`)
	}
	return u, nil
}

func isLoopbackHost(host string) bool {
	if asciiLower(host) == "localhost" {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.IsLoopback() && !addr.Is4In6()
}

// hostPort returns where connections go, for messages.
func hostPort(u *url.URL) string {
	if u.Port() != "" {
		return u.Host
	}
	if u.Scheme == "http" {
		return u.Host + ":80"
	}
	return u.Host + ":443"
}

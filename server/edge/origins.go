package edge

import (
	"errors"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/ascii"
)

// Origins are the origins from which browsers may call. Other clients send no
// Origin and are not affected.
type Origins map[string]bool

// ParseOrigins reads origins such as https://tools.example.com.
func ParseOrigins(allowed []string) (Origins, error) {
	list := Origins{}
	for _, origin := range allowed {
		text := strings.TrimSpace(origin)
		if isOpaqueOrigin(text) {
			return nil, errors.New("the origin null, which files and sandboxed pages have, cannot be allowed: any page on the web can have it")
		}
		normal, ok := ParseOrigin(text)
		if !ok {
			return nil, fmt.Errorf("%q is not an origin: write scheme and host, such as https://tools.example.com or tauri://localhost; "+
				"write a name with other than ASCII letters in its xn-- form", origin)
		}
		list[normal] = true
	}
	return list, nil
}

// isOpaqueOrigin reports whether an origin is that of files and sandboxed pages.
func isOpaqueOrigin(s string) bool {
	return ascii.EqualFold(s, "null") || strings.HasPrefix(ascii.Lower(s), "file:")
}

// ParseOrigin brings an origin into the form in which browsers send it (RFC 6454,
// section 6.2; URL Standard, "origin serialization"), and reports whether it is one.
func ParseOrigin(s string) (string, bool) {
	scheme, rest, found := strings.Cut(s, "://")
	scheme = ascii.Lower(scheme)
	if !found || !isScheme(scheme) {
		return "", false
	}
	rest = strings.TrimSuffix(rest, "/")
	if !isWeb(scheme) {
		return scheme + "://" + rest, isOpaqueHost(rest)
	}
	host, ok := ParseHost(rest)
	if !ok {
		return "", false
	}
	if host.Port == map[string]string{"https": "443", "http": "80"}[scheme] {
		host.Port = ""
	}
	name := host.Name
	if strings.Contains(name, ":") {
		name = "[" + name + "]"
	}
	if host.Port != "" {
		name += ":" + host.Port
	}
	return scheme + "://" + name, true
}

func isWeb(scheme string) bool { return scheme == "https" || scheme == "http" }

// isScheme reports whether a text in lower case can be a scheme (RFC 3986, section
// 3.1).
func isScheme(s string) bool {
	return s != "" && s[0] >= 'a' && s[0] <= 'z' && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789+-.") == ""
}

// isOpaqueHost reports whether a text can be the host and the port in an origin
// whose scheme is an application's own (URL Standard, "opaque-host parser").
// Browsers leave its case as it is.
func isOpaqueHost(s string) bool {
	return s != "" && len(s) <= 255 && !strings.ContainsFunc(s, func(r rune) bool {
		return r <= ' ' || r > '~' || strings.ContainsRune(`"#/<>?@\^`+"`{|}", r)
	})
}

func (l Origins) allows(header string) bool {
	scheme, _, _ := strings.Cut(header, "://")
	if isWeb(ascii.Lower(scheme)) {
		header = ascii.Lower(header)
	}
	return l[header]
}

// Guard refuses browsers on other origins.
func (l Origins) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		origins := r.Header.Values("Origin")
		if len(origins) > 1 || (len(origins) == 1 && !l.allows(origins[0])) {
			description := "this server does not answer browsers on this origin; its operator can allow it with --allowed-origin"
			if slices.ContainsFunc(origins, isOpaqueOrigin) {
				description = "this server does not answer pages without their own origin, such as files and sandboxed frames, and they cannot be allowed: open the page from a web address"
			}
			WriteProblem(w, http.StatusForbidden, "forbidden_origin", description)
			return
		}
		next.ServeHTTP(w, r)
	})
}

// CORS is what pages of allowed origins may send and read (Fetch standard, CORS
// protocol), as lists with commas. There is no Access-Control-Allow-Credentials:
// tokens come in headers that the page sets, never in cookies that a browser adds.
type CORS struct {
	Methods, Headers, Exposed string
}

const corsMaxAge = "600" // seconds

// Guard lets pages read answers, and answers preflight requests. It stands behind
// [Origins.Guard]: an origin that comes so far is allowed.
func (c CORS) Guard(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Origin")
		origin := r.Header.Get("Origin")
		if origin == "" {
			next.ServeHTTP(w, r)
			return
		}
		w.Header().Set("Access-Control-Allow-Origin", origin)
		if r.Method == http.MethodOptions && r.Header.Get("Access-Control-Request-Method") != "" {
			w.Header().Set("Access-Control-Allow-Methods", c.Methods)
			w.Header().Set("Access-Control-Allow-Headers", c.Headers)
			w.Header().Set("Access-Control-Max-Age", corsMaxAge)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		w.Header().Set("Access-Control-Expose-Headers", c.Exposed)
		next.ServeHTTP(w, r)
	})
}

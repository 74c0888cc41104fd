package authority

import (
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
)

// endpoint answers a request; an error is turned into an answer by the caller.
type endpoint func(w http.ResponseWriter, r *http.Request, as identity) error

type route struct {
	method  string
	pattern string // segments; {id} stands for any one that is not empty
	needs   permission
	open    bool // no credential is asked for
	serve   endpoint
	refill  endpoint // shows the form anew that came from a page of another session; of the web page alone
}

// routes is the whole interface. Patterns are matched as they are: an API that
// redirects to a cleaned path would have clients send a token twice, the
// second time wherever the redirect leads.
func (a *Authority) routes() []route {
	return []route{
		{method: http.MethodPost, pattern: "/settings/tokens", needs: writeTokens, serve: a.serveCreateToken},
		{method: http.MethodGet, pattern: "/settings/tokens", needs: readTokens, serve: a.serveListTokens},
		{method: http.MethodPatch, pattern: "/settings/tokens/{id}", needs: writeTokens, serve: a.serveUpdateToken},
		{method: http.MethodDelete, pattern: "/settings/tokens/{id}", needs: writeTokens, serve: a.serveRevokeToken},
		{method: http.MethodGet, pattern: "/settings/tokens/{id}/usage", needs: readTokens, serve: a.serveUsage},
		{method: http.MethodGet, pattern: "/me", serve: a.serveMe},
		{method: http.MethodGet, pattern: "/org-units", needs: readUnits, serve: a.serveUnits},
		{method: http.MethodPost, pattern: "/org-units/active", needs: writeUnits, serve: a.serveActiveUnit},
		{method: http.MethodGet, pattern: "/healthz", open: true, serve: a.serveHealth},
		{method: http.MethodGet, pattern: "/openapi.json", open: true, serve: a.serveDescription},
	}
}

type routeTable []struct {
	pattern  string
	segments []string
	methods  map[string]route
	allowed  []string
}

func newRouteTable(routes []route) routeTable {
	var table routeTable
	byPattern := map[string]int{}
	for _, rt := range routes {
		i, known := byPattern[rt.pattern]
		if !known {
			i = len(table)
			byPattern[rt.pattern] = i
			table = append(table, struct {
				pattern  string
				segments []string
				methods  map[string]route
				allowed  []string
			}{pattern: rt.pattern, segments: strings.Split(rt.pattern, "/"), methods: map[string]route{}})
		}
		table[i].methods[rt.method] = rt
		if rt.method == http.MethodGet {
			// RFC 9110, section 9.3.2; the server leaves the body out.
			table[i].methods[http.MethodHead] = rt
		}
	}
	for i := range table {
		table[i].allowed = slices.Sorted(maps.Keys(table[i].methods))
	}
	return table
}

// match finds the route and puts what stands for {id} into r's path values.
func (t routeTable) match(r *http.Request) (route, error) {
	segments := strings.Split(plainPath(r.URL), "/")
	for _, entry := range t {
		id, ok := matchSegments(entry.segments, segments)
		if !ok {
			continue
		}
		rt, ok := entry.methods[r.Method]
		if !ok {
			return route{pattern: entry.pattern}, methodNotAllowed(entry.allowed)
		}
		r.SetPathValue("id", id)
		return rt, nil
	}
	return route{}, noSuchPath()
}

// plainPath is the path of an address without doubled slashes at its beginning and
// without slashes at its end: clients put a base address and a path together in
// every way. A path with an encoded slash in it is left as it is.
func plainPath(u *url.URL) string {
	if u.RawPath != "" {
		return u.Path
	}
	return "/" + strings.Trim(u.Path, "/")
}

func matchSegments(pattern, path []string) (id string, ok bool) {
	if len(pattern) != len(path) {
		return "", false
	}
	for i := range pattern {
		switch {
		case pattern[i] == "{id}" && path[i] != "":
			id = path[i]
		case pattern[i] != path[i]:
			return "", false
		}
	}
	return id, true
}

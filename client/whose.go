package client

import (
	"bytes"
	"net/http"
	"strings"
)

// foreign tells whether an answer of no good status is somebody else's, and
// whose; "" if it is the kenbun API's own. The API's own are JSON of a shape that
// parseErrorBody knows, or a documented status without a body. Everything else
// comes from something in between: web pages, plain text, other JSON, other
// challenges than Bearer, redirects.
func foreign(a *answer, said errorBody) Cause {
	switch {
	case a.status >= 300 && a.status <= 399:
		return CauseRedirect
	case a.status == http.StatusProxyAuthRequired:
		return CauseProxyLogin
	case isOwn(a, said):
		return ""
	case a.status >= 500 && a.status != http.StatusNetworkAuthenticationRequired:
		return CauseGateway
	}
	return CauseIntermediary
}

func isOwn(a *answer, said errorBody) bool {
	if a.status == http.StatusNetworkAuthenticationRequired || hasOtherChallenge(a.header) || isMarked(a.header) {
		return false
	}
	if isPage(a.header.Get("Content-Type")) {
		return false
	}
	switch string(bytes.Join(bytes.Fields(a.body), nil)) {
	case "", "{}", "[]", "null", `""`:
		return isDocumentedWithoutBody(a.status) || len(a.header.Values("Www-Authenticate")) > 0
	}
	return said.isJSON
}

// isDocumentedWithoutBody lists the statuses of errors that the kenbun API
// documents, and those that mean the same whoever sends them.
func isDocumentedWithoutBody(status int) bool {
	switch status {
	case http.StatusBadRequest, http.StatusUnauthorized, http.StatusNotFound, http.StatusConflict,
		http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusInternalServerError,
		http.StatusTooManyRequests, http.StatusServiceUnavailable, http.StatusMethodNotAllowed, http.StatusNotImplemented:
		return true
	}
	return false
}

// hasOtherChallenge reports whether the answer asks for credentials that the API
// never asks for. Its own challenge is Bearer.
func hasOtherChallenge(header http.Header) bool {
	if len(header.Values("Proxy-Authenticate")) > 0 {
		return true
	}
	for _, challenge := range header.Values("Www-Authenticate") {
		scheme, _, _ := strings.Cut(strings.TrimSpace(challenge), " ")
		if !strings.EqualFold(strings.TrimSuffix(scheme, ","), "bearer") {
			return true
		}
	}
	return false
}

// isMarked reports whether a well-known gateway says that the answer is its own.
func isMarked(header http.Header) bool {
	for _, name := range [...]string{"X-Squid-Error", "X-Amzn-Errortype", "Cf-Mitigated", "X-Goog-Iap-Generated-Response"} {
		if header.Get(name) != "" {
			return true
		}
	}
	return false
}

// isOwnSuccess reports whether a good answer to a DELETE is one that the API can
// give: without a body, or JSON.
func isOwnSuccess(a *answer) bool {
	if a.status < 200 || a.status > 299 || isPage(a.header.Get("Content-Type")) {
		return false
	}
	return len(bytes.TrimSpace(a.body)) == 0 || isJSON(a.header.Get("Content-Type"))
}

// selfDescription is what something in between says about itself: the title or
// the first words of its page, and its name.
func selfDescription(a *answer, said errorBody) string {
	text := said.message
	if text == "" && isText(a.header.Get("Content-Type"), a.body) {
		text = pageText(a.body)
	}
	server := a.header.Get("Server")
	switch {
	case server == "":
		return text
	case text == "":
		return server
	}
	return text + " (" + server + ")"
}

// isText reports whether a body is meant for people.
func isText(contentType string, body []byte) bool {
	body = bytes.TrimSpace(body)
	return len(body) > 0 && strings.IndexByte(`{["`, body[0]) < 0 &&
		(contentType == "" || strings.HasPrefix(asciiLower(contentType), "text/") || isPage(contentType))
}

// maxPageText bounds the words taken of a page, in bytes.
const maxPageText = 200

// pageText returns the title of a web page, or its first words.
func pageText(body []byte) string {
	page := string(body[:min(len(body), 16<<10)])
	lower := asciiLower(page)
	if start := strings.Index(lower, "<title"); start >= 0 {
		if open := strings.IndexByte(page[start:], '>'); open >= 0 {
			title, _, _ := strings.Cut(page[start+open+1:], "<")
			if strings.TrimSpace(title) != "" {
				return cutBytes(title)
			}
		}
	}
	var b strings.Builder
	for len(page) > 0 && b.Len() < maxPageText {
		text, rest, found := strings.Cut(page, "<")
		b.WriteString(text)
		b.WriteByte(' ')
		if !found {
			break
		}
		name := asciiLower(rest[:min(len(rest), 8)])
		page = rest
		for _, hidden := range [...]string{"script", "style"} {
			if strings.HasPrefix(name, hidden) {
				if end := strings.Index(asciiLower(page), "</"+hidden); end >= 0 {
					page = page[end+1:]
				}
			}
		}
		_, page, _ = strings.Cut(page, ">")
	}
	return cutBytes(strings.Join(strings.Fields(b.String()), " "))
}

func cutBytes(text string) string {
	return strings.ToValidUTF8(text[:min(len(text), maxPageText)], "")
}

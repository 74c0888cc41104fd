// Package intermediary recognizes HTTP answers of something between a client and the
// server that it means, such as a proxy, firewall, gateway or sign-in page.
package intermediary

import (
	"bytes"
	"mime"
	"net/http"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/ascii"
)

// Signed reports whether an answer's status and header alone show that something in
// between gave it: it is a web page, asks for other credentials than a Bearer token,
// or bears the mark of a well-known gateway.
func Signed(status int, header http.Header) bool {
	return status == http.StatusNetworkAuthenticationRequired || status == http.StatusProxyAuthRequired ||
		hasOtherChallenge(header) || isMarked(header) || IsPage(header)
}

// hasOtherChallenge reports whether the answer asks for credentials that neither
// kenbun nor this program's server asks for. Their challenge is Bearer.
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

// IsPage reports whether an answer is a web page.
func IsPage(header http.Header) bool {
	mediaType, _, err := mime.ParseMediaType(header.Get("Content-Type"))
	return err == nil && (mediaType == "text/html" || strings.HasPrefix(mediaType, "application/xhtml"))
}

// Describe returns what an answer says about whoever gave it: said, or else the title
// or the first words of its page, and its name. It is text from outside, and not
// cleaned.
func Describe(header http.Header, body []byte, said string) string {
	text := said
	if text == "" && isText(header, body) {
		text = pageText(body)
	}
	server := header.Get("Server")
	switch {
	case server == "":
		return text
	case text == "":
		return server
	}
	return text + " (" + server + ")"
}

// isText reports whether a body is meant for people.
func isText(header http.Header, body []byte) bool {
	contentType := header.Get("Content-Type")
	body = bytes.TrimSpace(body)
	return len(body) > 0 && strings.IndexByte(`{["`, body[0]) < 0 &&
		(contentType == "" || strings.HasPrefix(ascii.Lower(contentType), "text/") || IsPage(header))
}

// maxPageText bounds the words taken of a page, in bytes.
const maxPageText = 200

// pageText returns the title of a web page, or its first words.
func pageText(body []byte) string {
	page := string(body[:min(len(body), 16<<10)])
	lower := ascii.Lower(page)
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
		name := ascii.Lower(rest[:min(len(rest), 8)])
		page = rest
		for _, hidden := range [...]string{"script", "style"} {
			if strings.HasPrefix(name, hidden) {
				if end := strings.Index(ascii.Lower(page), "</"+hidden); end >= 0 {
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

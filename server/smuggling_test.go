package server_test

import (
	"bufio"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"
)

// smuggled is a request that nobody sent, if framing is read as an attacker
// likes.
const smuggled = "GET /healthz HTTP/1.1\r\nHost: localhost\r\nX-Smuggled: 1\r\n\r\n"

// answersTo writes bytes on a connection and returns the statuses of all
// answers, and whether the server ended the connection after them.
func answersTo(t *testing.T, h *httpHouse, bytes string) (statuses []int, ended bool) {
	t.Helper()
	connection, err := net.Dial("tcp", strings.TrimPrefix(h.url, "http://"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = connection.Close() }() // the answers are all that counts
	if _, err := io.WriteString(connection, bytes); err != nil && !errors.Is(err, syscall.EPIPE) && !errors.Is(err, syscall.ECONNRESET) {
		t.Fatal(err)
	}
	if err := connection.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	reader := bufio.NewReader(connection)
	for {
		answer, err := http.ReadResponse(reader, nil)
		if err != nil {
			if errors.Is(err, os.ErrDeadlineExceeded) {
				t.Fatalf("the server neither answers nor ends the connection after %v", statuses)
			}
			return statuses, true
		}
		if _, err := io.Copy(io.Discard, answer.Body); err != nil {
			return statuses, true
		}
		statuses = append(statuses, answer.StatusCode)
		if len(statuses) == 2 {
			return statuses, false
		}
	}
}

func TestA21_RequestsWhoseEndIsInDoubt(t *testing.T) {
	h := serveHTTP(t)
	const head = "POST /mcp HTTP/1.1\r\nHost: localhost\r\n"
	known := head + "Authorization: Bearer " + h.pat + "\r\n"
	chunked := func(body string) string { return fmt.Sprintf("%x\r\n%s\r\n0\r\n\r\n", len(body), body) }
	for _, c := range []struct {
		shows string
		bytes string
		// first is the answer to what is the request by RFC 9112. The connection
		// ends with it in every case.
		first int
	}{
		{"Content-Length and Transfer-Encoding", head + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 401},
		{"Transfer-Encoding and Content-Length", head + "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n\r\n0\r\n\r\n", 401},
		{"Content-Length that hides the rest", head + fmt.Sprintf("Content-Length: %d\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 5+len(smuggled)), 401},
		{"chunked, alone", head + "Transfer-Encoding: chunked\r\n\r\n" + chunked("{}"), 401},
		{"chunked in capitals", head + "Transfer-Encoding: CHUNKED\r\n\r\n" + chunked("{}"), 401},
		{"chunked on a folded line", head + "Transfer-Encoding:\r\n chunked\r\n\r\n" + chunked("{}"), 401},
		{"chunked to a path that is none", "POST /nothing HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked("{}"), 404},
		{"chunked under a foreign Host", "POST /mcp HTTP/1.1\r\nHost: evil.example\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked("{}"), 403},
		{"chunked with GET", "GET /healthz HTTP/1.1\r\nHost: localhost\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked("{}"), 200},
		{"a chunk extension", head + "Transfer-Encoding: chunked\r\n\r\n2;x=y\r\n{}\r\n0\r\n\r\n", 401},
		{"a trailer with a token", head + "Transfer-Encoding: chunked\r\nTrailer: Authorization\r\n\r\n2\r\n{}\r\n0\r\nAuthorization: Bearer " + h.pat + "\r\n\r\n", 401},
		{"a chunk that ends with LF alone", known + "Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n", 400},
		{"a chunk longer than it says", known + "Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n", 400},
		{"a negative chunk", known + "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n", 400},
		{"a chunk of 2^64 and two", known + "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n", 400},
		{"of a stranger, a chunk that ends with LF alone", head + "Transfer-Encoding: chunked\r\n\r\n2\n{}\r\n0\r\n\r\n", 401},
		{"of a stranger, a chunk longer than it says", head + "Transfer-Encoding: chunked\r\n\r\n1\r\n{}\r\n0\r\n\r\n", 401},
		{"of a stranger, a negative chunk", head + "Transfer-Encoding: chunked\r\n\r\n-2\r\n{}\r\n0\r\n\r\n", 401},
		{"of a stranger, a chunk of 2^64 and two", head + "Transfer-Encoding: chunked\r\n\r\n10000000000000002\r\n{}\r\n0\r\n\r\n", 401},
		{"HTTP/1.0 with Transfer-Encoding", "POST /mcp HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n", 401},
		{"HTTP/1.0 that wants to go on", "POST /mcp HTTP/1.0\r\nHost: localhost\r\nConnection: keep-alive\r\nContent-Length: 0\r\n\r\n", 401},
		{"two Content-Lengths", head + "Content-Length: 0\r\nContent-Length: 5\r\n\r\n", 400},
		{"two Content-Lengths in a list", head + "Content-Length: 0, 5\r\n\r\n", 400},
		{"the same Content-Length in a list", head + "Content-Length: 0, 0\r\n\r\n", 400},
		{"Content-Length with a sign", head + "Content-Length: +0\r\n\r\n", 400},
		{"negative Content-Length", head + "Content-Length: -1\r\n\r\n", 400},
		{"hexadecimal Content-Length", head + "Content-Length: 0x0\r\n\r\n", 400},
		{"Content-Length in two words", head + "Content-Length: 0 0\r\n\r\n", 400},
		{"Content-Length in two words on a folded line", head + "Content-Length: 0\r\n 0\r\n\r\n", 400},
		{"Content-Length that wraps", head + "Content-Length: 18446744073709551616\r\n\r\n", 400},
		{"empty Content-Length", head + "Content-Length:\r\n\r\n", 400},
		{"a space before the colon", head + "Content-Length : 0\r\n\r\n", 400},
		{"a space before the colon of Transfer-Encoding", head + "Transfer-Encoding : chunked\r\n\r\n" + chunked(""), 400},
		{"two Transfer-Encodings", head + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n" + chunked(""), 501},
		{"a Transfer-Encoding that nobody has", head + "Transfer-Encoding: xchunked\r\n\r\n" + chunked(""), 501},
		{"identity", head + "Transfer-Encoding: identity\r\nContent-Length: 0\r\n\r\n", 501},
		{"chunked, identity", head + "Transfer-Encoding: chunked, identity\r\n\r\n" + chunked(""), 501},
		{"gzip, chunked", head + "Transfer-Encoding: gzip, chunked\r\n\r\n" + chunked(""), 501},
		{"chunked in quotation marks", head + "Transfer-Encoding: \"chunked\"\r\n\r\n" + chunked(""), 501},
		{"a vertical tab before chunked", head + "Transfer-Encoding: \x0bchunked\r\n\r\n" + chunked(""), 400},
		{"a NUL in the value", head + "Transfer-Encoding: chunked\x00\r\n\r\n" + chunked(""), 400},
		{"a NUL in another value", head + "X-A: \x00\r\nContent-Length: 0\r\n\r\n", 400},
		{"a CR in a value", head + "X-A: a\rContent-Length: 5\r\nContent-Length: 0\r\n\r\n", 400},
		{"a folded first line", "POST /mcp HTTP/1.1\r\n Host: localhost\r\n\r\n", 400},
		{"a line without a colon", head + "Content-Length 0\r\n\r\n", 400},
		{"two Hosts", head + "Host: evil.example\r\n\r\n", 400},
		{"no Host", "POST /mcp HTTP/1.1\r\nContent-Length: 0\r\n\r\n", 400},
		{"the preface of HTTP/2", "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 403},
		{"HTTP/3.0", "GET /healthz HTTP/3.0\r\nHost: localhost\r\n\r\n", 505},
		{"HTTP/1.10", "GET /healthz HTTP/1.10\r\nHost: localhost\r\n\r\n", 400},
	} {
		statuses, ended := answersTo(t, h, c.bytes+smuggled)
		if len(statuses) != 1 || statuses[0] != c.first || !ended {
			t.Errorf("%s: answers %v, ended %t; want %d alone", c.shows, statuses, ended, c.first)
		}
	}
}

// What is beyond doubt does not cost the connection.
func TestA21_RequestsThatAreAsTheyShouldBeShareAConnection(t *testing.T) {
	h := serveHTTP(t)
	for shows, first := range map[string]string{
		"no body":                        "POST /mcp HTTP/1.1\r\nHost: localhost\r\n\r\n",
		"a body":                         "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\n\r\n{}",
		"the same Content-Length, twice": "POST /mcp HTTP/1.1\r\nHost: localhost\r\nContent-Length: 2\r\nContent-Length: 2\r\n\r\n{}",
		"a folded line":                  "POST /mcp HTTP/1.1\r\nHost: localhost\r\nX-A: a\r\n b\r\nContent-Length: 2\r\n\r\n{}",
	} {
		statuses, _ := answersTo(t, h, first+smuggled)
		if len(statuses) != 2 || statuses[0] != http.StatusUnauthorized || statuses[1] != http.StatusOK {
			t.Errorf("%s: answers %v, want 401 and 200", shows, statuses)
		}
	}
}

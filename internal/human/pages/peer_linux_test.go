package pages

import (
	"bufio"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"syscall"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

// TestA46_AnotherUserOfThisMachineIsShownNothing: even if they know the address.
func TestA46_AnotherUserOfThisMachineIsShownNothing(t *testing.T) {
	h := newHouse(t)
	d := h.deliver(t.Context(), t, atLeisure)
	address, err := url.Parse(d.address)
	if err != nil {
		t.Fatal(err)
	}
	for _, family := range []int{syscall.AF_INET, syscall.AF_INET6} {
		connection := kenbuntest.DialAs(t, kenbuntest.SomeoneElse, family, address.Host)
		defer connection.Close()
		if _, err := io.WriteString(connection, "GET "+address.Path+" HTTP/1.1\r\nHost: "+address.Host+"\r\nConnection: close\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		response, err := http.ReadResponse(bufio.NewReader(connection), nil)
		if err != nil {
			t.Fatal(err)
		}
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if err != nil {
			t.Fatal(err)
		}
		if response.StatusCode != http.StatusForbidden || strings.Contains(string(body), "csrf") {
			t.Errorf("family %d: another user is answered with %d %s", family, response.StatusCode, body)
		}
	}
	d.mustWait(t)
}

// TestA46_AnotherUserWhoLeavesAtOnceDecidesNothing sends a form that would be
// accepted, and closes the connection before anybody can look whose it was.
func TestA46_AnotherUserWhoLeavesAtOnceDecidesNothing(t *testing.T) {
	h := newHouse(t)
	d := h.deliver(t.Context(), t, atLeisure)
	address, err := url.Parse(d.address)
	if err != nil {
		t.Fatal(err)
	}
	form := formOf(t, d.address, "choice", "discard").Encode()
	request := fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", address.Path, address.Host, len(form), form)
	for i := range 60 {
		family := []int{syscall.AF_INET, syscall.AF_INET6}[i%2]
		connection := kenbuntest.DialAs(t, kenbuntest.SomeoneElse, family, address.Host)
		if i%3 == 0 {
			if err := connection.SetLinger(0); err != nil { // RST in the place of FIN
				t.Fatal(err)
			}
		}
		if _, err := io.WriteString(connection, request); err != nil {
			t.Fatal(err)
		}
		if i%3 == 1 {
			err = connection.CloseWrite()
			defer connection.Close()
		} else {
			err = connection.Close()
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	// What was sent has been worked on when this is answered.
	if got := get(t, d.address); got.status != http.StatusOK {
		t.Errorf("the page answers %d afterwards", got.status)
	}
	d.mustWait(t)
}

package claims

import (
	"cmp"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"net"
	"net/http"
	"strconv"
	"strings"

	"github.com/kenbun/kenbun-mcp/internal/claimkey"
	"github.com/kenbun/kenbun-mcp/server/edge"
)

// maxRequest bounds the request of a program, in bytes.
const maxRequest = 1 << 10

// fetchByProgram answers the command claim and programs like it. Package claimkey
// describes the protocol. It has no place for a token, and one that is sent is not
// used.
func (h *Handler) fetchByProgram(w http.ResponseWriter, r *http.Request, id string) {
	if h.Header.IsIn(r.Header) {
		edge.WriteProblem(w, http.StatusForbidden, "outdated_client",
			"this server no longer accepts a token for a claim, and did not use yours: update kenbun-mcp to the version of the server, or open the page of the claim in a browser")
		return
	}
	request, problem := readRequest(w, r)
	if problem != nil {
		edge.WriteProblem(w, problem.status, problem.code, problem.text)
		return
	}
	claimed, err := h.Claims.FetchSealed(r.Context(), id, request.Proof, h.ownHosts(r))
	if err != nil {
		failed := h.failed(r, id, err)
		failed.setHeader(w)
		edge.WriteProblem(w, failed.status, failed.code, failed.Error())
		return
	}
	if err := sendClaimed(w, claimkey.Answer{Version: claimkey.Version, Sealed: claimed.Sealed}); err != nil || r.Context().Err() != nil {
		h.Claims.TakeBackSealed(r.Context(), id, claimed)
	}
}

// readRequest reads the request of the command claim.
func readRequest(w http.ResponseWriter, r *http.Request) (*claimkey.Request, *failure) {
	invalid := &failure{
		status: http.StatusBadRequest, code: "invalid_request",
		text: "this is not a proof for a claim: pick it up with `kenbun-mcp claim`, or open this address in a browser",
	}
	content, err := readBody(w, r, maxRequest)
	if err != nil {
		return nil, invalid
	}
	var request claimkey.Request
	if json.Unmarshal(content, &request) != nil || request.Version < 1 {
		return nil, invalid
	}
	if request.Version != claimkey.Version {
		return nil, &failure{
			status: http.StatusBadRequest, code: "unsupported_version",
			text: fmt.Sprintf("this server uses version %d of the protocol for claims: use the same version of kenbun-mcp as the server, or open the page of the claim in a browser", claimkey.Version),
		}
	}
	if len(request.Proof) != sha256.Size {
		return nil, invalid
	}
	return &request, nil
}

// ownHosts are the names under which a request may have reached this server: the
// public one, and the one in its Host header, which is on the list of allowed
// hosts. Every port of a loopback name is allowed there. Here it must be the one
// on which this server listens: another port is another program, which could pass
// a proof on.
func (h *Handler) ownHosts(r *http.Request) []string {
	var hosts []string
	if scheme, public, ok := strings.Cut(h.origin, "://"); ok {
		if host, ok := claimkey.NormalHost(scheme, public); ok {
			hosts = append(hosts, host)
		}
	}
	called, ok := edge.ParseHost(r.Host)
	if !ok {
		return hosts
	}
	// The command speaks http on loopback only. Elsewhere a proxy may have ended TLS.
	scheme := "https"
	if edge.IsLoopbackName(called.Name) {
		if r.TLS == nil {
			scheme = "http"
		}
		if !isOwnPort(r, cmp.Or(called.Port, claimkey.UsualPort(scheme))) {
			return hosts
		}
	}
	if host, ok := claimkey.NormalHost(scheme, r.Host); ok {
		hosts = append(hosts, host)
	}
	return hosts
}

func isOwnPort(r *http.Request, port string) bool {
	local, ok := r.Context().Value(http.LocalAddrContextKey).(*net.TCPAddr)
	return ok && port == strconv.Itoa(local.Port)
}

func sendClaimed(w http.ResponseWriter, answer claimkey.Answer) error {
	data, err := json.Marshal(answer)
	if err != nil {
		return fmt.Errorf("write a claimed token: %w", err)
	}
	header := w.Header()
	header.Set("Content-Type", "application/json")
	header.Set("Cache-Control", "no-store")
	header.Set("X-Content-Type-Options", "nosniff")
	if _, err := w.Write(data); err != nil {
		return fmt.Errorf("send a claimed token: %w", err)
	}
	if err := http.NewResponseController(w).Flush(); err != nil {
		return fmt.Errorf("send a claimed token: %w", err)
	}
	return nil
}

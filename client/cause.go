package client

// Cause says whose answer an [Error] rests on, or how far the request came. The
// set is closed, and the values are stable: they can stand in logs and metrics.
type Cause string

// The causes.
const (
	// CauseAPI: the kenbun API itself answered. Only such an error says anything
	// about a token, a role, or what the API knows.
	CauseAPI Cause = "api"
	// CauseIntermediary: something between here and the API answered in its place,
	// such as a proxy, firewall, gateway or sign-in page.
	CauseIntermediary Cause = "intermediary"
	// CauseRedirect: the answer is a redirect, which is never followed.
	CauseRedirect Cause = "redirect"
	// CauseGateway: something in front of the API failed, or could not reach it.
	CauseGateway Cause = "gateway"
	// CauseForm: the answer cannot be what was asked for: malformed, incomplete, too
	// large.
	CauseForm Cause = "unexpected_form"
	// CauseMismatch: the API did something else than it was asked to do.
	CauseMismatch Cause = "mismatch"

	CauseProxyLogin       Cause = "proxy_login"
	CauseProxyRefused     Cause = "proxy_refused"
	CauseProxyUnreachable Cause = "proxy_unreachable"

	CauseNoSuchHost        Cause = "no_such_host"
	CauseConnectionRefused Cause = "connection_refused"
	CauseUnreachable       Cause = "unreachable"
	CauseNotLoopback       Cause = "not_loopback"

	CauseUnknownCA          Cause = "unknown_ca"
	CauseCertificateHost    Cause = "certificate_host"
	CauseCertificateExpired Cause = "certificate_expired"
	CauseNotTLS             Cause = "not_tls"
	CauseTLS                Cause = "tls"

	CauseTimeout  Cause = "timeout"
	CauseLost     Cause = "connection_lost"
	CauseNotHTTP  Cause = "not_http"
	CauseCanceled Cause = "canceled"
	// CauseNotSent: the request was refused here, before anything was sent.
	CauseNotSent Cause = "not_sent"
)

// remedies has, for each cause, what to do about it and whether it may pass by
// itself. What the API said itself has its advice in verdict.
var remedies = map[Cause]struct {
	advice string
	passes bool
}{
	CauseIntermediary: {advice: "check the API address (KENBUN_API_URL), and what stands between here and it: a proxy, firewall, gateway or sign-in page. Neither the token nor the user's role is the reason"},
	CauseRedirect:     {advice: "check the API address (KENBUN_API_URL), and that no sign-in page of the network stands in between"},
	CauseGateway:      {advice: "try again later", passes: true},
	CauseForm:         {advice: "check that the API address (KENBUN_API_URL) is the API's and not that of its web page, and that no sign-in page of the network stands in between"},

	CauseProxyLogin:       {advice: "put user and password into HTTPS_PROXY"},
	CauseProxyRefused:     {advice: "check HTTPS_PROXY, or let NO_PROXY name the host"},
	CauseProxyUnreachable: {advice: "check HTTPS_PROXY"},

	CauseNoSuchHost: {advice: "check the API address (KENBUN_API_URL), and that the network (DNS, VPN) is up"},
	// An API that restarts refuses connections, too.
	CauseConnectionRefused: {advice: "check the API address and its port (KENBUN_API_URL), and HTTPS_PROXY if the network needs a proxy", passes: true},
	CauseUnreachable:       {advice: "check the network, and HTTPS_PROXY if it needs a proxy", passes: true},
	CauseNotLoopback:       {advice: "use https:// in the API address (KENBUN_API_URL)"},

	CauseUnknownCA:          {advice: "in a network that inspects TLS, put its root certificate into a PEM file and name that in KENBUN_CA_FILE"},
	CauseCertificateHost:    {advice: "check the API address (KENBUN_API_URL)"},
	CauseCertificateExpired: {advice: "check this machine's clock; if it is right, the API's certificate has to be renewed"},
	CauseNotTLS:             {advice: "check the API address and its port (KENBUN_API_URL)"},
	CauseTLS:                {advice: "check the API address (KENBUN_API_URL), and that nothing in between offers less than TLS 1.2"},

	CauseTimeout: {advice: "try again later", passes: true},
	CauseLost:    {advice: "try again", passes: true},
	CauseNotHTTP: {advice: "check the API address and its port (KENBUN_API_URL)"},
}

// isForeign reports whether an answer came, and from something else than the API.
func (c Cause) isForeign() bool {
	switch c {
	case CauseIntermediary, CauseRedirect, CauseGateway, CauseProxyLogin, CauseProxyRefused:
		return true
	}
	return false
}

// advise sets the advice for e's cause, unless it has one.
func (e *Error) advise() *Error {
	if e.Advice == "" {
		e.Advice = remedies[e.Cause].advice
	}
	return e
}

// MayPass reports whether the same call may succeed later although nobody has
// changed anything. Where it is false, waiting does not help.
func (e *Error) MayPass() bool {
	if e.RetryAfter > 0 || e.Code == CodeRateLimited {
		return true
	}
	if e.Cause == CauseAPI || e.Cause == "" {
		return e.Code == CodeUnavailable
	}
	return remedies[e.Cause].passes
}

package client

import (
	"strings"
	"testing"
)

func TestA12_BaseURL(t *testing.T) {
	for _, tc := range []struct{ in, want, says string }{
		{in: "https://api.kenbun.io", want: "https://api.kenbun.io"},
		{in: "https://api.kenbun.io/", want: "https://api.kenbun.io"},
		{in: "https://API.Kenbun.IO//", want: "https://api.kenbun.io"},
		{in: "HTTPS://api.kenbun.io:8443/v2/", want: "https://api.kenbun.io:8443/v2"},
		{in: "https://api.kenbun.io:/v2", want: "https://api.kenbun.io/v2"},
		{in: "https://10.0.0.1", want: "https://10.0.0.1"},
		{in: "http://localhost:8080/kenbun", want: "http://localhost:8080/kenbun"},
		{in: "http://LOCALHOST", want: "http://localhost"},
		{in: "http://127.0.0.1:1", want: "http://127.0.0.1:1"},
		{in: "http://127.9.9.9", want: "http://127.9.9.9"},
		{in: "http://[::1]:8080", want: "http://[::1]:8080"},

		{in: "", says: "empty"},
		{in: "api.kenbun.io", says: "https://"},
		{in: "//api.kenbun.io", says: "https://"},
		{in: "ftp://api.kenbun.io", says: "https://"},
		{in: "https://", says: "no host"},
		{in: "https://:443", says: "no host"},
		{in: "http://api.kenbun.io", says: "in the clear"},
		{in: "http://0.0.0.0", says: "in the clear"},
		{in: "http://10.0.0.1", says: "in the clear"},
		{in: "http://169.254.169.254", says: "in the clear"},
		{in: "http://[::ffff:127.0.0.1]", says: "in the clear"},
		{in: "http://127.0.0.1.example.com", says: "in the clear"},
		{in: "http://localhost.example.com", says: "in the clear"},
		{in: "http://0x7f.1", says: "in the clear"},
		{in: "http://2130706433", says: "in the clear"},
		{in: "https://ada:hunter2@api.kenbun.io", says: "user name"},
		{in: "https://ada@api.kenbun.io", says: "user name"},
		{in: "https://ada:hunter2@api.kenbun.io:x", says: "no URL"},
		{in: "https://api.kenbun.io?x=hunter2", says: "query"},
		{in: "https://api.kenbun.io?", says: "query"},
		{in: "https://api.kenbun.io#hunter2", says: "fragment"},
		{in: "https://api.kenbun.io#", says: "fragment"},
		{in: "https://api.kenbun.io/a/../b", says: ".."},
		{in: "https://api.kenbun.io/a//b", says: "empty parts"},
		{in: "https://api.kenbun.io/%2e%2e/b", says: ".."},
		{in: "https://api.kenbun.io:0", says: "65535"},
		{in: "https://api.kenbun.io:70000", says: "65535"},
		{in: "https://кенбун.example", says: "xn--"},
		{in: "https://api.kenbun.io\r\nX: y", says: "no URL"},
	} {
		c, err := New(WithBaseURL(tc.in))
		if tc.says != "" {
			if err == nil || !strings.Contains(err.Error(), tc.says) {
				t.Errorf("%q: error %v, want one that says %q", tc.in, err, tc.says)
			}
			if err != nil && (strings.Contains(err.Error(), "hunter2") || strings.Contains(err.Error(), "ada")) {
				t.Errorf("%q: the error repeats the user info: %v", tc.in, err)
			}
			continue
		}
		if err != nil || c.BaseURL() != tc.want {
			t.Errorf("%q: got %v, %v, want %q", tc.in, c, err, tc.want)
		}
	}
	c, err := New()
	if err != nil || c.BaseURL() != DefaultBaseURL {
		t.Errorf("default: %v", err)
	}
}

func TestNewRefusesWrongOptions(t *testing.T) {
	for name, tc := range map[string]struct {
		opt  Option
		says string
	}{
		"no timeout":       {WithTimeout(0), "timeout"},
		"negative retries": {WithRetry(-1, 0, 0), "retries"},
		"pauses reversed":  {WithRetry(1, 2, 1), "pause"},
		"user agent":       {WithUserAgent("a\r\nb: c"), "user agent"},
		"empty user agent": {WithUserAgent(""), "user agent"},
		"missing CA file":  {WithCAFile(t.TempDir() + "/none.pem"), "CA file"},
	} {
		if _, err := New(tc.opt); err == nil || !strings.Contains(err.Error(), tc.says) {
			t.Errorf("%s: error %v, want one that says %q", name, err, tc.says)
		}
	}
}

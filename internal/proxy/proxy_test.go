package proxy

import (
	"net/url"
	"strings"
	"testing"
)

func TestP20_AProxyThatCannotBeReadIsRefusedByName(t *testing.T) {
	for name, tc := range map[string]struct {
		variables map[string]string
		host      string
		names     string // "" where all is well
	}{
		"none":                       {nil, "api.kenbun.io", ""},
		"a good one":                 {map[string]string{"HTTPS_PROXY": "http://ada:100%25@proxy.example:8080"}, "api.kenbun.io", ""},
		"host and port":              {map[string]string{"https_proxy": "proxy.example:8080"}, "api.kenbun.io", ""},
		"SOCKS":                      {map[string]string{"HTTPS_PROXY": "socks5h://127.0.0.1:1080"}, "api.kenbun.io", ""},
		"a password with %":          {map[string]string{"HTTPS_PROXY": "http://ada:100%zz@proxy.example:8080"}, "api.kenbun.io", "HTTPS_PROXY"},
		"the same in small letters":  {map[string]string{"https_proxy": "http://ada:100%zz@proxy.example:8080"}, "api.kenbun.io", "https_proxy"},
		"an unknown scheme":          {map[string]string{"HTTPS_PROXY": "socks4://proxy.example"}, "api.kenbun.io", "HTTPS_PROXY"},
		"a port that is none":        {map[string]string{"HTTPS_PROXY": "http://proxy.example:80a"}, "api.kenbun.io", "HTTPS_PROXY"},
		"nothing but a scheme":       {map[string]string{"HTTPS_PROXY": "http://"}, "api.kenbun.io", "HTTPS_PROXY"},
		"loopback needs none":        {map[string]string{"HTTPS_PROXY": "http://100%zz@"}, "127.0.0.1", ""},
		"ALL_PROXY alone":            {map[string]string{"ALL_PROXY": "socks5://127.0.0.1:1080"}, "api.kenbun.io", "ALL_PROXY"},
		"ALL_PROXY, host excluded":   {map[string]string{"all_proxy": "socks5://127.0.0.1:1080", "NO_PROXY": "example.com,.kenbun.io"}, "api.kenbun.io", ""},
		"ALL_PROXY and HTTPS_PROXY":  {map[string]string{"ALL_PROXY": "socks://x", "HTTPS_PROXY": "http://proxy.example"}, "api.kenbun.io", ""},
		"a network that is none":     {map[string]string{"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "localhost,10.0.0.0/33"}, "api.kenbun.io", "NO_PROXY"},
		"blanks in place of commas":  {map[string]string{"HTTPS_PROXY": "http://proxy.example", "no_proxy": "localhost example.com"}, "api.kenbun.io", "no_proxy"},
		"a URL":                      {map[string]string{"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "https://api.kenbun.io"}, "api.kenbun.io", "NO_PROXY"},
		"a list as it should be":     {map[string]string{"HTTPS_PROXY": "http://proxy.example", "NO_PROXY": "*.example.com, .corp,10.0.0.0/8,[::1]:80,"}, "api.kenbun.io", ""},
		"plain HTTP has its own":     {map[string]string{"HTTP_PROXY": "http://ada:100%zz@proxy.example"}, "http://collector.example:4318", "HTTP_PROXY"},
		"which is not for TLS":       {map[string]string{"HTTP_PROXY": "http://ada:100%zz@proxy.example"}, "api.kenbun.io", ""},
		"nor the other way round":    {map[string]string{"HTTPS_PROXY": "http://ada:100%zz@proxy.example"}, "http://collector.example:4318", ""},
		"ALL_PROXY for plain HTTP":   {map[string]string{"ALL_PROXY": "socks5://127.0.0.1:1080", "HTTPS_PROXY": "http://proxy.example"}, "http://collector.example:4318", "ALL_PROXY"},
		"NO_PROXY without any proxy": {map[string]string{"NO_PROXY": "10.0.0.0/33"}, "api.kenbun.io", ""},
	} {
		t.Run(name, func(t *testing.T) {
			for _, variable := range []string{"HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"} {
				t.Setenv(variable, tc.variables[variable])
			}
			address := tc.host
			if !strings.Contains(address, "://") {
				address = "https://" + address
			}
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			err = Check(u)
			switch {
			case tc.names == "" && err != nil, tc.names != "" && (err == nil || !strings.HasPrefix(err.Error(), tc.names+" ")):
				t.Errorf("got %v, want one that names %q", err, tc.names)
			case err != nil && (strings.Contains(err.Error(), "100%zz") || strings.Contains(err.Error(), "ada")):
				t.Errorf("the value is shown: %v", err)
			}
		})
	}
}

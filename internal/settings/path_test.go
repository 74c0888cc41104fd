package settings

import (
	"runtime"
	"strings"
	"testing"
)

func TestP15_ALeadingTildeIsTheHomeFolder(t *testing.T) {
	if runtime.GOOS == "windows" {
		t.Skip("paths have another form there")
	}
	t.Setenv("HOME", "/home/ada")
	for value, want := range map[string]string{
		"~/tokens": "/home/ada/tokens", "~": "/home/ada", "~/": "/home/ada", " ~/a b ": "/home/ada/a b", "\uFEFF~/a\r\n": "/home/ada/a",
		"/a/~/b": "/a/~/b", "a~": "a~", "./~a": "./~a", "": "", "memory": "memory", "/a b/ü": "/a b/ü", "/srv/c$/x": "/srv/c$/x", "/a/100%/b%": "/a/100%/b%",
	} {
		if got, err := Path(value); err != nil || got != want {
			t.Errorf("%q is %q, %v, want %q", value, got, err, want)
		}
	}
	for _, home := range []string{"", "relative", "~"} {
		t.Setenv("HOME", home)
		if got, err := Path("~/tokens"); err == nil || !strings.Contains(err.Error(), "~/tokens") || !strings.Contains(err.Error(), "HOME") {
			t.Errorf("with HOME=%q it is %q, %v", home, got, err)
		}
	}
}

func TestP15_WhatAShellWouldHaveFilledInIsRefusedByName(t *testing.T) {
	t.Setenv("HOME", "/home/ada")
	for value, named := range map[string]string{
		"$HOME/tokens": "$HOME", "/home/$USER/x": "$USER", "${HOME}/x": "${HOME}", "${userHome}/x": "${userHome}", "~/${env:X}/y": "${env:X}",
		"%APPDATA%/x": "%APPDATA%", `C:\%USERNAME%\x`: "%USERNAME%", "%ProgramFiles(x86)%/x": "%ProgramFiles(x86)%", "$(pwd)/x": "$(pwd)",
		"$env:HOME/x": "$env:HOME", "{{home}}/x": "{{home}}", "~ada/x": "another user", `"/a/b"`: "quotation marks", "'~/x'": "quotation marks",
	} {
		if got, err := Path(value); err == nil || !strings.Contains(err.Error(), named) || !strings.Contains(err.Error(), value) {
			t.Errorf("%q is %q, %v, want an error that shows the path and %q", value, got, err, named)
		}
	}
	for value, refused := range map[string]bool{
		"https://${HOST}/": true, "$URL": true, "%URL%": true, "{{url}}": true, "${input:a}": true,
		"https://a.example/%7Eb%7E": false, "redis://:p$ss@a:1": false, "ask": false, "60/m,1000/d": false,
	} {
		if err := CheckFilledIn(value); (err != nil) != refused {
			t.Errorf("%q: %v", value, err)
		}
	}
}

func TestP17_EntriesOfAListAreTrimmedAndEmptyOnesPassedOver(t *testing.T) {
	for text, want := range map[string]string{
		"a,b": "a|b", "a, b": "a|b", " a ,\tb , ": "a|b", "a,,b": "a|b", ",a,": "a", "a\nb": "a|b", "a,\r\n b\n": "a|b", `"a", "b"`: "a|b",
		"\uFEFFa,\u00a0b\u200b": "a|b", "": "", " , ,": "", "a b": "a b",
	} {
		if got, err := List(text); err != nil || strings.Join(got, "|") != want {
			t.Errorf("%q is %q, %v, want %q", text, got, err, want)
		}
	}
	for _, text := range []string{`"a`, `a"`, `"a,b"`, `a"b`} {
		if got, err := List(text); err == nil {
			t.Errorf("%q is %q", text, got)
		}
	}
}

// Package marks puts around a text what editors, shells and forms put there.
package marks

import "strings"

// Around returns ASCII text with marks around it, by the names of the marks.
func Around(text string) map[string]string {
	return map[string]string{
		"blanks":             " \t" + text + " \t\r\n\n",
		"byte order mark":    "\uFEFF" + text + "\r\n",
		"no-break space":     "\u00a0" + text + "\u202f",
		"zero width":         "\u200b\u2060" + text + "\u200b",
		"UTF-16 of Windows":  "\xff\xfe" + wide(text+"\r\n", false),
		"UTF-16, big endian": "\xfe\xff" + wide(text+"\n", true),
		"UTF-16, no mark":    wide(text+"\r\n", false),
	}
}

// AroundVariable leaves out what a variable of the environment or a header cannot
// hold.
func AroundVariable(text string) map[string]string {
	around := Around(text)
	for name, marked := range around {
		if strings.ContainsRune(marked, 0) {
			delete(around, name)
		}
	}
	return around
}

// wide is an ASCII text in UTF-16.
func wide(text string, bigEndian bool) string {
	var b strings.Builder
	for _, letter := range []byte(text) {
		if bigEndian {
			b.Write([]byte{0, letter})
		} else {
			b.Write([]byte{letter, 0})
		}
	}
	return b.String()
}

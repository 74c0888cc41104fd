package client

import (
	"errors"
	"fmt"
	"net/http"
	"strings"
	"testing"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest/names"
)

func TestP29_TheClientTakesNamesOfLivingScriptsAndNamesWhatIsNotSeen(t *testing.T) {
	api := newFakeAPI(t)
	u := newTestCaller(t, api.URL)
	all := names.Packed()
	for _, name := range names.Living {
		all = append(all, name)
	}
	for _, name := range all {
		if err := checkName(name); err != nil {
			t.Errorf("%+q: %v", name, err)
		}
	}
	for _, name := range names.Living {
		if created, err := u.CreateToken(t.Context(), NewToken{Name: name}); err != nil || created.Name != name {
			t.Errorf("%+q: %v", name, err)
		}
	}
	made := api.count(http.MethodPost)
	for label, refused := range names.RefusedNames {
		_, err := u.CreateToken(t.Context(), NewToken{Name: refused.Name})
		if place := fmt.Sprintf("%U at character %d", refused.Rune, refused.Position); !errors.Is(err, ErrInvalid) || !strings.Contains(err.Error(), place) {
			t.Errorf("%s: %v, want one that says %q", label, err, place)
		}
	}
	if n := api.count(http.MethodPost); n != made {
		t.Errorf("%d refused names were sent", n-made)
	}
}

func TestP29_MessagesKeepWhatScriptsAndEmojiNeed(t *testing.T) {
	for label, name := range names.Living {
		if got := cleanMessage("no "+name+"!", Secret{}); got != "no "+strings.ReplaceAll(name, "\u3000", " ")+"!" {
			t.Errorf("%s: %+q", label, got)
		}
	}
	for label, refused := range names.RefusedNames {
		if got := cleanMessage("no "+refused.Name, Secret{}); strings.ContainsRune(got, refused.Rune) && refused.Rune != 0x200d && refused.Rune != 0xfe0f && refused.Rune != 0xfffd {
			t.Errorf("%s: %+q", label, got)
		}
	}
}

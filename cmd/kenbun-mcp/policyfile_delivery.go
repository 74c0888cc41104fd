package main

import (
	"errors"
	"fmt"
	"path/filepath"
	"slices"
	"strings"

	"go.yaml.in/yaml/v4"

	"github.com/kenbun/kenbun-mcp/internal/settings"
)

// deliveryBounds say how a policy file lets new tokens reach the user. Methods have
// no order of strictness, so flags that go beyond them end the start.
type deliveryBounds struct {
	// methods are the values of --deliver that are allowed.
	methods []string
	// dir and envFile are the only values of --deliver-dir and --deliver-env-file.
	// Without them the default folder counts, and any .env file.
	dir, envFile string
	// noJournal allows --journal-dir none.
	noJournal bool
}

// safeDelivery is what a policy file allows that says nothing of delivery: the
// methods that do not put a token where the model looks first.
func safeDelivery() deliveryBounds {
	return deliveryBounds{methods: []string{roadPage, roadKeychain, roadFile, roadClaim, roadSealed}}
}

// bound reports what the flags ask for beyond the bounds. It sets what counts in
// place of the defaults of road, which may be bounded by another file already.
func (b deliveryBounds) bound(flags roadFlags, journal journalFlags, road *roadFlags) error {
	switch {
	case flags.deliver != "" && !slices.Contains(b.methods, flags.deliver):
		if usable := flags.usable(b.methods); usable != "" {
			return fmt.Errorf("--deliver %s is not allowed. Use %s, or change deliver in the file", flags.deliver, usable)
		}
		return fmt.Errorf("--deliver %s is not allowed. Change deliver in the file", flags.deliver)
	case flags.deliverDir != "" && !samePath(flags.deliverDir, b.dir):
		return errors.New("--deliver-dir is not allowed. Leave it out, or write the folder to deliver-dir in the file")
	case flags.envFile != "" && b.envFile != "" && !samePath(flags.envFile, b.envFile):
		return errors.New("--deliver-env-file is not the file of deliver-env-file. Name that file")
	case journal.dir == noJournal && !b.noJournal:
		return errors.New("--journal-dir none is not allowed. Leave it out, or write journal-dir: none to the file")
	case b.dir != "" && road.deliverDir != "" && !samePath(road.deliverDir, b.dir):
		return errors.New("deliver-dir is another folder than in the policy file of the machine. Name the same folder, or none")
	}
	if b.dir != "" {
		road.deliverDir = b.dir
	}
	if b.envFile != "" {
		road.envFile = b.envFile
	}
	for _, method := range everyMethod {
		if !slices.Contains(b.methods, method) && !slices.Contains(road.forbidden, method) {
			road.forbidden = append(road.forbidden, method)
		}
	}
	return nil
}

func samePath(a, b string) bool {
	if b == "" {
		return false
	}
	absolute, err := filepath.Abs(a)
	return err == nil && absolute == filepath.Clean(b)
}

func readMethods(value *yaml.Node, to *[]string) error {
	if err := readNames(value, to); err != nil {
		return errors.New("it takes a list of at least one method, such as [page, keychain]")
	}
	for _, method := range *to {
		if !slices.Contains(everyMethod, method) {
			return fmt.Errorf("there is no method %q; the methods are %s", method, strings.Join(everyMethod, ", "))
		}
	}
	return nil
}

func readPath(value *yaml.Node, to *string) error {
	if value.Tag != "!!str" {
		return errors.New("it takes a path from the root on, such as /home/ada/tokens")
	}
	path, err := settings.Path(value.Value)
	if err != nil {
		return err
	}
	if !filepath.IsAbs(path) {
		return errors.New("it takes a path from the root on, such as /home/ada/tokens, or one that begins with ~/")
	}
	*to = path
	return nil
}

package serve

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"

	"go.yaml.in/yaml/v4"

	"github.com/kenbun/kenbun-mcp/internal/cli/command"
	"github.com/kenbun/kenbun-mcp/internal/privatefile"
	"github.com/kenbun/kenbun-mcp/internal/settings"
	"github.com/kenbun/kenbun-mcp/tools"
	"github.com/kenbun/kenbun-mcp/tools/toolsets"
)

// maxPolicyFile bounds a policy file, in bytes.
const maxPolicyFile = 64 << 10

// systemPolicyFile is the policy of the machine's administrator. It must belong to
// root, as must its folder.
const systemPolicyFile = "/etc/kenbun-mcp/policy.yaml"

// filePolicy is what one policy file says.
type filePolicy struct {
	tools.Policy
	delivery deliveryBounds
}

// policyKeys read the settings of a policy file. Their names are those of the
// flags.
var policyKeys = map[string]func(value *yaml.Node, policy *filePolicy) error{
	"read-only":            func(v *yaml.Node, p *filePolicy) error { return readBool(v, &p.ReadOnly) },
	"toolsets":             func(v *yaml.Node, p *filePolicy) error { return readNames(v, &p.Toolsets) },
	"tools":                func(v *yaml.Node, p *filePolicy) error { return readNames(v, &p.Only) },
	"exclude-tools":        func(v *yaml.Node, p *filePolicy) error { return readNames(v, &p.Exclude) },
	"allow-never-expiring": func(v *yaml.Node, p *filePolicy) error { return readBool(v, &p.AllowNeverExpiring) },
	"allow-self-revoke":    func(v *yaml.Node, p *filePolicy) error { return readBool(v, &p.AllowSelfRevoke) },
	"max-token-lifetime": func(v *yaml.Node, p *filePolicy) (err error) {
		p.MaxTokenLifetime, err = command.ParseLifetime("max-token-lifetime", settings.Trim(v.Value))
		return err
	},
	"max-changes-per-minute": func(v *yaml.Node, p *filePolicy) error { return readNumber(v, &p.MaxChangesPerMinute) },
	"max-tokens-per-day":     func(v *yaml.Node, p *filePolicy) error { return readNumber(v, &p.MaxTokensPerDay) },
	"approval": func(v *yaml.Node, p *filePolicy) error {
		if v.Kind != yaml.ScalarNode {
			return errors.New("it takes ask, client or deny")
		}
		p.Approval = tools.Approval(settings.Trim(v.Value))
		return nil
	},
	"deliver":          func(v *yaml.Node, p *filePolicy) error { return readMethods(v, &p.delivery.methods) },
	"deliver-dir":      func(v *yaml.Node, p *filePolicy) error { return readPath(v, &p.delivery.dir) },
	"deliver-env-file": func(v *yaml.Node, p *filePolicy) error { return readPath(v, &p.delivery.envFile) },
	"journal-dir": func(v *yaml.Node, p *filePolicy) error {
		if v.Value != noJournal {
			return errors.New("it takes none, which lets the flag be none")
		}
		p.delivery.noJournal = true
		return nil
	},
}

func readBool(value *yaml.Node, to *bool) error {
	if value.Tag != "!!bool" {
		return errors.New("it takes true or false")
	}
	return value.Decode(to)
}

func readNumber(value *yaml.Node, to *int) error {
	if value.Tag != "!!int" {
		return errors.New("it takes a whole number")
	}
	return value.Decode(to)
}

func readNames(value *yaml.Node, to *[]string) error {
	var names []string
	if value.Kind == yaml.SequenceNode {
		if err := value.Decode(&names); err != nil {
			return err
		}
	}
	for i := range names {
		names[i] = settings.Trim(names[i])
	}
	*to = slices.DeleteFunc(names, func(name string) bool { return name == "" })
	if len(*to) == 0 {
		return errors.New("it takes a list of at least one name, such as [whoami, list_tokens]")
	}
	return nil
}

// withPolicyFiles returns the strictest of what the flags, the user's policy file
// and the machine's say. A file that is there and cannot be trusted or read is an
// error, as are flags for delivery that a file does not allow.
func (f *servingFlags) withPolicyFiles(flags tools.Policy, logger *slog.Logger) (tools.Policy, error) {
	policy, given := flags, f.road
	type source struct {
		path string
		read func(path string) ([]byte, error)
	}
	var sources []source
	if filepath.Separator == '/' {
		sources = append(sources, source{systemPolicyFile, readOfRoot})
	}
	// Without a home the user has no policy.
	if folder, err := settings.ConfigFolder(); err == nil {
		sources = append(sources, source{filepath.Join(folder, "policy.yaml"), readOfUser})
	}
	for _, source := range sources {
		content, err := source.read(source.path)
		if errors.Is(err, errOfAnother) {
			logger.Warn("the policy file does not count", "path", source.path, "cause", err)
			continue
		}
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		var said filePolicy
		if err == nil {
			said, err = parsePolicy(content)
		}
		if err == nil {
			err = said.delivery.bound(given, f.journal, &f.road)
		}
		if err == nil {
			if keys := policy.WeakerThan(said.Policy); len(keys) > 0 {
				logger.Warn("the policy file is stricter than the rest and counts", "path", source.path, "settings", strings.Join(keys, ", "))
			} else {
				logger.Info("the policy file applies", "path", source.path)
			}
			policy, err = policy.Stricter(said.Policy)
		}
		if err != nil {
			return tools.Policy{}, command.Usagef("the policy file %s: %w", source.path, err)
		}
	}
	return policy, nil
}

// parsePolicy reads a policy file. It does not restrict what it leaves out, but for
// delivery: there the safe methods count.
func parsePolicy(content []byte) (filePolicy, error) {
	text, err := settings.Text(content)
	if err != nil {
		return filePolicy{}, err
	}
	decoder := yaml.NewDecoder(strings.NewReader(text))
	var document yaml.Node
	if err := decoder.Decode(&document); err != nil {
		if errors.Is(err, io.EOF) {
			return filePolicy{}, errors.New("it is empty. Write a setting into it, or remove it")
		}
		return filePolicy{}, fmt.Errorf("it is not YAML: %w", err)
	}
	if err := decoder.Decode(new(yaml.Node)); !errors.Is(err, io.EOF) {
		return filePolicy{}, errors.New("it holds more than one document. Keep one")
	}
	if len(document.Content) != 1 || document.Content[0].Kind != yaml.MappingNode {
		return filePolicy{}, errors.New("it takes settings, one a line, such as read-only: true")
	}
	policy := filePolicy{Policy: tools.WeakestPolicy(), delivery: safeDelivery()}
	policy.FromFile = true
	seen := map[string]bool{}
	pairs := document.Content[0].Content
	for i := 0; i+1 < len(pairs); i += 2 {
		key := settings.Trim(pairs[i].Value)
		read, known := policyKeys[key]
		switch {
		case !known:
			names := []string{}
			for name := range policyKeys {
				names = append(names, name)
			}
			slices.Sort(names)
			return filePolicy{}, fmt.Errorf("there is no setting %q; the settings are %s", key, strings.Join(names, ", "))
		case seen[key]:
			return filePolicy{}, fmt.Errorf("%s stands in it twice", key)
		}
		seen[key] = true
		if err := read(pairs[i+1], &policy); err != nil {
			return filePolicy{}, fmt.Errorf("%s: %w", key, err)
		}
	}
	policy.Policy, err = policy.Validate(toolsets.All())
	return policy, err
}

// readOfUser reads a file that belongs to the user and that nobody else can
// change.
func readOfUser(path string) ([]byte, error) {
	if _, err := os.Lstat(path); err != nil {
		if errors.Is(err, fs.ErrPermission) && !isBelowOwnFolder(path) {
			return nil, errOfAnother
		}
		return nil, unreadable(err)
	}
	file, err := privatefile.Open(path, privatefile.Options{MaxSize: maxPolicyFile, AllowReaders: true})
	if err != nil {
		return nil, err
	}
	if !file.Exists() {
		return nil, errors.Join(fs.ErrNotExist, file.Close())
	}
	return file.Content(), file.Close()
}

// errOfAnother is a file in a home folder that is not the user's own, such as
// that of root where another user was left with its HOME.
var errOfAnother = errors.New("its folder belongs to another user, and this process cannot look into it")

// isBelowOwnFolder reports whether the user owns the last folder on the way to path
// that can be looked at.
func isBelowOwnFolder(path string) bool {
	for folder := filepath.Dir(path); ; folder = filepath.Dir(folder) {
		info, err := os.Lstat(folder)
		if err == nil {
			return isOwn(info)
		}
		if folder == filepath.Dir(folder) {
			return false
		}
	}
}

// unreadable keeps "it does not exist" from other errors.
func unreadable(err error) error {
	// Below a file, such as HOME=/dev/null, there is nothing either.
	if errors.Is(err, fs.ErrNotExist) || errors.Is(err, syscall.ENOTDIR) {
		return fs.ErrNotExist
	}
	return fmt.Errorf("it cannot be read: %w. Check its owner and mode", err)
}

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

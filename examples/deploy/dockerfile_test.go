//go:build linux

package deploy_test

import (
	"debug/elf"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
)

// TestDockerfile_BuildsAProgramThatNeedsNothing builds with the Dockerfile's own
// command, from what its build is given and nothing else.
func TestDockerfile_BuildsAProgramThatNeedsNothing(t *testing.T) {
	content, err := os.ReadFile("Dockerfile")
	if err != nil {
		t.Fatal(err)
	}
	var build, entrypoint, user string
	for line := range strings.Lines(string(content)) {
		instruction, rest, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch {
		case instruction == "RUN" && strings.Contains(rest, "go build"):
			build = rest
		case instruction == "ENTRYPOINT":
			entrypoint = rest
		case instruction == "USER":
			user = rest
		}
	}
	source := buildContext(t)
	out := t.TempDir()
	command := exec.Command("sh", "-c", strings.ReplaceAll(build, "/out/", out+"/"))
	command.Dir = source
	if output, err := command.CombinedOutput(); err != nil {
		t.Fatalf("%s: %v: %s", build, err, output)
	}
	var words []string
	if err := json.Unmarshal([]byte(entrypoint), &words); err != nil || len(words) != 1 {
		t.Fatalf("the entry point is %s: %v", entrypoint, err)
	}
	program, err := elf.Open(filepath.Join(out, words[0]))
	if err != nil {
		t.Fatal(err)
	}
	defer program.Close()
	if slices.ContainsFunc(program.Progs, func(p *elf.Prog) bool { return p.Type == elf.PT_INTERP }) {
		t.Error("the program needs a dynamic linker, and the image has none")
	}
	compose := newDeployment(t).project
	for name, service := range compose.Services {
		if service.User != user || !service.ReadOnly || !slices.Contains(service.CapDrop, "ALL") || !slices.Contains(service.SecurityOpt, "no-new-privileges:true") {
			t.Errorf("the service %s is not confined: it runs as %q", name, service.User)
		}
	}
}

// buildContext copies what Dockerfile.dockerignore lets through.
func buildContext(t *testing.T) string {
	t.Helper()
	content, err := os.ReadFile("Dockerfile.dockerignore")
	if err != nil {
		t.Fatal(err)
	}
	target := t.TempDir()
	for line := range strings.Lines(string(content)) {
		name, allowed := strings.CutPrefix(strings.TrimSpace(line), "!")
		if !allowed {
			continue
		}
		source := filepath.Join("..", "..", name)
		info, err := os.Stat(source)
		if err != nil {
			t.Fatal(err)
		}
		if info.IsDir() {
			err = os.CopyFS(filepath.Join(target, name), os.DirFS(source))
		} else {
			var file []byte
			if file, err = os.ReadFile(source); err == nil {
				err = os.WriteFile(filepath.Join(target, name), file, 0o600)
			}
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	return target
}

//go:build linux

// Package deploy_test runs what this folder configures: the processes of the
// compose file and of the systemd unit, with their files, without a container
// engine.
package deploy_test

import (
	"crypto/x509"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/compose-spec/compose-go/v2/loader"
	"github.com/compose-spec/compose-go/v2/types"

	"github.com/kenbun/kenbun-mcp/internal/kenbuntest"
)

func TestMain(m *testing.M) { os.Exit(kenbuntest.Run(m)) }

// host is the name in every configuration.
const host = "mcp.example.com"

// deployment is a copy of this folder with secrets of its own, whose services
// run on loopback.
type deployment struct {
	folder  string
	project *types.Project
	// Addresses on which the services listen instead of those that the files name.
	redis, nginx, health string
	// The sockets of the replicas.
	replica1, replica2 string
	// sockets is the folder of the sockets, if it is not the volume of the compose
	// file.
	sockets string
	// workers is the user of nginx's workers, if it is not nginx's own.
	workers string
	// authorities trusts the certificate of nginx.
	authorities *x509.CertPool
}

// newDeployment follows the steps of docs/deploy.md as far as services start.
func newDeployment(t *testing.T) *deployment {
	t.Helper()
	// The processes of nginx that answer requests may be another user's, who has
	// to get through.
	folder, err := os.MkdirTemp("", "kenbun-mcp-deploy-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := os.RemoveAll(folder); err != nil {
			t.Error(err)
		}
	})
	for _, name := range []string{"compose.yaml", "nginx.conf", "redis.conf", "make-secrets"} {
		content, err := os.ReadFile(name)
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(folder, name), content, 0o700); err != nil {
			t.Fatal(err)
		}
	}
	d := &deployment{folder: folder}
	for _, address := range []*string{&d.redis, &d.nginx, &d.health} {
		*address = kenbuntest.FreeAddress(t)
	}
	if output, err := exec.Command(filepath.Join(folder, "make-secrets"), filepath.Join(folder, "secrets"), "redis:6379").CombinedOutput(); err != nil {
		t.Fatalf("make-secrets: %v: %s", err, output)
	}
	d.authorities = certify(t, filepath.Join(folder, "secrets"))
	d.project = loadCompose(t, filepath.Join(folder, "compose.yaml"))
	d.replica1 = d.onLoopback(t, "replica1", "/run/kenbun-mcp/1/socket")
	d.replica2 = d.onLoopback(t, "replica2", "/run/kenbun-mcp/2/socket")
	return d
}

// loadCompose reads a compose file as Compose itself does, which refuses what it
// does not know.
func loadCompose(t *testing.T, file string) *types.Project {
	t.Helper()
	project, err := loader.LoadWithContext(t.Context(), types.ConfigDetails{
		WorkingDir:  filepath.Dir(file),
		ConfigFiles: []types.ConfigFile{{Filename: file}},
		Environment: types.Mapping{},
	})
	if err != nil {
		t.Fatalf("compose.yaml: %v", err)
	}
	return project
}

// onLoopback is what tells the services here from those in containers: where
// they listen, and where their files are. What a service mounts is found where
// it is mounted from.
func (d *deployment) onLoopback(t *testing.T, service, text string) string {
	t.Helper()
	pairs := []string{
		"0.0.0.0", "127.0.0.1",
		"redis:6379", d.redis, "port 6379", "port " + port(d.redis),
		"listen 8443", "listen " + d.nginx, "127.0.0.1:8080", d.health,
		"/run/nginx.pid", filepath.Join(d.folder, "nginx.pid"), "/var/log/nginx/", d.folder + "/",
		"http {\n", "http {\n    client_body_temp_path " + d.folder + "/body;\n    proxy_temp_path " + d.folder + "/proxy;\n" +
			"    fastcgi_temp_path " + d.folder + "/fastcgi;\n    uwsgi_temp_path " + d.folder + "/uwsgi;\n    scgi_temp_path " + d.folder + "/scgi;\n",
		"/kenbun-mcp http", kenbuntest.Binary(t) + " http",
	}
	configuration := d.project.Services[service]
	for _, volume := range configuration.Volumes {
		source := volume.Source
		if volume.Type == types.VolumeTypeVolume {
			source = filepath.Join(d.folder, "volumes", volume.Source)
		}
		if volume.Source == "sockets" && d.sockets != "" {
			source = d.sockets
		}
		pairs = append(pairs, volume.Target, source)
	}
	for _, secret := range configuration.Secrets {
		target := secret.Target
		if target == "" {
			target = secret.Source
		}
		if !filepath.IsAbs(target) {
			target = "/run/secrets/" + target
		}
		pairs = append(pairs, target, d.project.Secrets[secret.Source].File)
	}
	return strings.NewReplacer(pairs...).Replace(text)
}

func port(address string) string {
	_, port, _ := net.SplitHostPort(address)
	return port
}

// adapt rewrites a service's configuration file for loopback.
func (d *deployment) adapt(t *testing.T, service, name string) {
	t.Helper()
	file := filepath.Join(d.folder, name)
	content, err := os.ReadFile(file)
	if err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(file, []byte(d.onLoopback(t, service, string(content))), 0o600); err != nil {
		t.Fatal(err)
	}
}

// words are the words with which a container of a service starts, given the
// entry point of its image.
func (d *deployment) words(t *testing.T, service string, entrypoint ...string) []string {
	t.Helper()
	configuration := d.project.Services[service]
	if len(configuration.Entrypoint) > 0 {
		entrypoint = configuration.Entrypoint
	}
	var words []string
	for _, word := range append(entrypoint, configuration.Command...) {
		words = append(words, d.onLoopback(t, service, word))
	}
	return words
}

// environment is a service's, in the form of os.Environ.
func (d *deployment) environment(t *testing.T, service string) []string {
	t.Helper()
	var variables []string
	for name, value := range d.project.Services[service].Environment {
		if value == nil {
			t.Fatalf("%s has no value for %s", service, name)
		}
		variables = append(variables, name+"="+d.onLoopback(t, service, *value))
	}
	return variables
}

// process is a program that a test started.
type process struct {
	*exec.Cmd
	log   *lockedBuffer
	ended chan struct{}
}

// launch starts a program that ends with the test at the latest.
func launch(t *testing.T, environment, words []string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(words[0], words[1:]...), log: &lockedBuffer{}, ended: make(chan struct{})}
	p.Env, p.Stdout, p.Stderr = environment, p.log, p.log
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		defer close(p.ended)
		_ = p.Wait() // how it ended is in ProcessState
	}()
	t.Cleanup(func() {
		p.signal(t, os.Interrupt)
		select {
		case <-p.ended:
		case <-time.After(patience):
			t.Errorf("%s does not end", words[0])
			p.signal(t, os.Kill)
			<-p.ended
		}
		if t.Failed() {
			t.Logf("%s said:\n%s", words[0], last(p.log.String(), 4000))
		}
	})
	return p
}

// signal sends a signal to a process that may have ended before.
func (p *process) signal(t *testing.T, signal os.Signal) {
	t.Helper()
	if p.hasEnded() {
		return
	}
	if err := p.Process.Signal(signal); err != nil && !errors.Is(err, os.ErrProcessDone) {
		t.Error(err)
	}
}

func (p *process) hasEnded() bool {
	select {
	case <-p.ended:
		return true
	default:
		return false
	}
}

func last(text string, n int) string { return text[max(0, len(text)-n):] }

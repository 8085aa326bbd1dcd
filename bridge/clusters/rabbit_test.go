package clusters

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
	"fieldgate/scripts/peertest"
)

// patience covers the start of two Erlang machines on a loaded board.
const patience = 5 * time.Minute

func until(t *testing.T, what string, ok func() bool) {
	t.Helper()
	for deadline := time.Now().Add(patience); !ok(); time.Sleep(20 * time.Millisecond) {
		if time.Now().After(deadline) {
			t.Fatalf("not in %s: %s", patience, what)
		}
	}
}

// serverScript is RabbitMQ's own, without Debian's wrapper, which would change
// the user.
const serverScript = "/usr/lib/rabbitmq/bin/rabbitmq-server"

// rabbits are nodes with an epmd of their own.
type rabbits struct {
	t     *testing.T
	dir   string
	epmd  int // port
	nodes []*rabbit
}

type rabbit struct {
	all              *rabbits
	name, dir        string
	amqp, dist, port int
	cmd              *exec.Cmd
}

// newRabbits prepares nodes of these names; more than one form a cluster.
func newRabbits(t *testing.T, names ...string) *rabbits {
	t.Helper()
	peertest.Need(t, "rabbitmq-server")
	r := &rabbits{t: t, dir: t.TempDir(), epmd: peertest.FreePort(t)}
	epmd := exec.Command(peertest.Need(t, "epmd"), "-port", fmt.Sprint(r.epmd), "-address", "127.0.0.1")
	if err := epmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = epmd.Process.Kill()
		_ = epmd.Wait()
	})
	if err := os.WriteFile(filepath.Join(r.dir, ".erlang.cookie"), []byte("fieldgate"), 0o400); err != nil {
		t.Fatal(err)
	}
	for _, name := range names {
		n := &rabbit{all: r, name: name, dir: filepath.Join(r.dir, name), amqp: peertest.FreePort(t), dist: peertest.FreePort(t), port: peertest.FreePort(t)}
		n.configure(names)
		r.nodes = append(r.nodes, n)
		t.Cleanup(func() {
			n.kill()
			n.tell()
		})
	}
	return r
}

func (n *rabbit) configure(names []string) {
	n.all.t.Helper()
	conf := fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\nmqtt.listeners.tcp.1 = 127.0.0.1:%d\nmqtt.allow_anonymous = true\nmqtt.prefetch = 1000\nloopback_users = none\nlog.console = false\n", n.amqp, n.port)
	if len(names) > 1 {
		conf += "cluster_formation.peer_discovery_backend = classic_config\n"
		for i, name := range names {
			conf += fmt.Sprintf("cluster_formation.classic_config.nodes.%d = %s@localhost\n", i+1, name)
		}
	}
	if err := os.MkdirAll(filepath.Join(n.dir, "mnesia"), 0o755); err != nil {
		n.all.t.Fatal(err)
	}
	for name, text := range map[string]string{"rabbitmq.conf": conf, "plugins": "[rabbitmq_mqtt].\n"} {
		if err := os.WriteFile(filepath.Join(n.dir, name), []byte(text), 0o600); err != nil {
			n.all.t.Fatal(err)
		}
	}
}

// start runs the node in a process group of its own.
func (n *rabbit) start() {
	n.all.t.Helper()
	n.cmd = exec.Command(serverScript)
	n.cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	n.cmd.Env = append(os.Environ(),
		"HOME="+n.all.dir, fmt.Sprint("ERL_EPMD_PORT=", n.all.epmd), "ERL_EPMD_ADDRESS=127.0.0.1",
		"RABBITMQ_NODENAME="+n.name+"@localhost", fmt.Sprint("RABBITMQ_NODE_PORT=", n.amqp), fmt.Sprint("RABBITMQ_DIST_PORT=", n.dist),
		"RABBITMQ_MNESIA_BASE="+filepath.Join(n.dir, "mnesia"), "RABBITMQ_LOG_BASE="+filepath.Join(n.dir, "log"),
		"RABBITMQ_CONFIG_FILE="+filepath.Join(n.dir, "rabbitmq.conf"), "RABBITMQ_ENABLED_PLUGINS_FILE="+filepath.Join(n.dir, "plugins"),
		"RABBITMQ_PID_FILE="+filepath.Join(n.dir, "pid"), "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS=+S 1:1 +sbwt none")
	if err := n.cmd.Start(); err != nil {
		n.all.t.Fatal(err)
	}
}

// kill ends the node as a power cut would.
func (n *rabbit) kill() {
	if n.cmd == nil {
		return
	}
	_ = syscall.Kill(-n.cmd.Process.Pid, syscall.SIGKILL)
	_ = n.cmd.Wait()
	n.cmd = nil
}

// tell quotes the end of the node's logs where the test has failed.
func (n *rabbit) tell() {
	if !n.all.t.Failed() {
		return
	}
	logs, _ := filepath.Glob(filepath.Join(n.dir, "log", "*.log")) // the pattern is well formed
	for _, name := range logs {
		if text, err := os.ReadFile(name); err == nil {
			n.all.t.Logf("%s:\n%s", filepath.Base(name), text[max(0, len(text)-3000):])
		}
	}
}

func (n *rabbit) url() string { return fmt.Sprintf("mqtt://127.0.0.1:%d", n.port) }

// ready waits until MQTT clients can log in.
func (n *rabbit) ready() {
	n.all.t.Helper()
	until(n.all.t, n.name+" takes MQTT logins", func() bool {
		conn, err := client.Dial(n.all.t.Context(), client.Config{URL: n.url(), Version: mqtt.V311, CleanStart: true, ConnectTimeout: 2 * time.Second})
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// together waits until the nodes know each other.
func (r *rabbits) together() {
	r.t.Helper()
	until(r.t, "the cluster has formed", func() bool {
		cmd := exec.Command("/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", "-n", r.nodes[0].name+"@localhost", "cluster_status", "--formatter", "json")
		cmd.Env = append(os.Environ(), "HOME="+r.dir, fmt.Sprint("ERL_EPMD_PORT=", r.epmd))
		out, err := cmd.Output()
		_, running, _ := strings.Cut(string(out), `"running_nodes":[`)
		running, _, _ = strings.Cut(running, "]")
		return err == nil && strings.Count(running, "@localhost") == len(r.nodes)
	})
}

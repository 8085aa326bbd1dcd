// Package rabbitmq runs nodes of Debian's rabbitmq-server with its MQTT plugin,
// for tests that need a cloud of that make.
package rabbitmq

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

// Place is where nodes run. The zero Place is this machine's loopback.
type Place struct {
	Command func(name string, args ...string) *exec.Cmd // how a program is started there; nil: exec.Command
	Address string                                      // by which the test reaches MQTT there; "": the loopback alone
	Lines   string                                      // of rabbitmq.conf beside
}

// Cluster are nodes with an epmd of their own.
type Cluster struct {
	t     *testing.T
	place Place
	dir   string
	epmd  int // port
	Nodes []*Node
}

// Node is one server. It is killed at the end of the test.
type Node struct {
	all              *Cluster
	name, dir        string
	amqp, dist, port int
	cmd              *exec.Cmd
}

// New prepares nodes of these names; more than one form a cluster.
func New(t *testing.T, place Place, names ...string) *Cluster {
	t.Helper()
	peertest.Need(t, "rabbitmq-server")
	if place.Command == nil {
		place.Command = exec.Command
	}
	r := &Cluster{t: t, place: place, dir: t.TempDir(), epmd: peertest.FreePort(t)}
	epmd := place.Command(peertest.Need(t, "epmd"), "-port", fmt.Sprint(r.epmd), "-address", "127.0.0.1")
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
		n := &Node{all: r, name: name, dir: filepath.Join(r.dir, name), amqp: peertest.FreePort(t), dist: peertest.FreePort(t), port: peertest.FreePort(t)}
		n.configure(names)
		r.Nodes = append(r.Nodes, n)
		t.Cleanup(func() {
			n.Kill()
			n.tell()
		})
	}
	return r
}

func (n *Node) configure(names []string) {
	n.all.t.Helper()
	bind := "127.0.0.1"
	if n.all.place.Address != "" {
		bind = "0.0.0.0"
	}
	conf := fmt.Sprintf("listeners.tcp.1 = 127.0.0.1:%d\nmqtt.listeners.tcp.1 = %s:%d\nmqtt.allow_anonymous = true\nmqtt.prefetch = 1000\nloopback_users = none\nlog.console = false\n%s", n.amqp, bind, n.port, n.all.place.Lines)
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

// Start runs the node in a process group of its own.
func (n *Node) Start() {
	n.all.t.Helper()
	n.cmd = n.all.place.Command(serverScript)
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

// Kill ends the node as a power cut would.
func (n *Node) Kill() {
	if n.cmd == nil {
		return
	}
	_ = syscall.Kill(-n.cmd.Process.Pid, syscall.SIGKILL)
	_ = n.cmd.Wait()
	n.cmd = nil
}

// tell quotes the end of the node's logs where the test has failed.
func (n *Node) tell() {
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

// Port is where it listens for MQTT.
func (n *Node) Port() int { return n.port }

// URL is how the test reaches it.
func (n *Node) URL() string {
	host := "127.0.0.1"
	if n.all.place.Address != "" {
		host = n.all.place.Address
	}
	return fmt.Sprintf("mqtt://%s:%d", host, n.port)
}

// Ready waits until MQTT clients can log in.
func (n *Node) Ready() {
	n.all.t.Helper()
	until(n.all.t, n.name+" takes MQTT logins", func() bool {
		conn, err := client.Dial(n.all.t.Context(), client.Config{URL: n.URL(), Version: mqtt.V311, CleanStart: true, ConnectTimeout: 2 * time.Second})
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
}

// Together waits until the nodes know each other.
func (r *Cluster) Together() {
	r.t.Helper()
	until(r.t, "the cluster has formed", func() bool {
		cmd := r.place.Command("/usr/lib/rabbitmq/bin/rabbitmqctl", "-q", "-n", r.Nodes[0].name+"@localhost", "cluster_status", "--formatter", "json")
		cmd.Env = append(os.Environ(), "HOME="+r.dir, fmt.Sprint("ERL_EPMD_PORT=", r.epmd))
		out, err := cmd.Output()
		_, running, _ := strings.Cut(string(out), `"running_nodes":[`)
		running, _, _ = strings.Cut(running, "]")
		return err == nil && strings.Count(running, "@localhost") == len(r.Nodes)
	})
}

package main

import (
	"cmp"
	"context"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"os"
	"strings"
	"time"

	"github.com/spf13/cobra"

	"fieldgate/configs"
	"fieldgate/configs/conf"
	"fieldgate/mqtt"
	"fieldgate/mqtt/client"
)

// mqttFlags are what sub and pub need to reach a broker.
type mqttFlags struct {
	broker       string
	user         string
	passwordFile string
	id           string
	caFile       string
	proxy        string
	qos          int
	v311         bool
}

func (m *mqttFlags) add(c *cobra.Command) {
	f := c.Flags()
	f.StringVarP(&m.broker, "broker", "b", "", "mqtt, mqtts, ws, wss or unix `URL` of the broker (default: the plain listener of the configuration given by -c, else mqtt://127.0.0.1:1883)")
	f.StringVarP(&m.user, "user", "u", "", "user name")
	f.StringVar(&m.passwordFile, "password-file", "", "`file` with the password (else the environment variable FIELDGATE_PASSWORD)")
	f.StringVar(&m.id, "id", "", "client id (default: a random one)")
	f.StringVar(&m.caFile, "ca-file", "", "`file` with the authority that signed the broker's certificate")
	f.StringVar(&m.proxy, "proxy", "", "http or socks5 `URL` of a proxy to go through")
	f.IntVar(&m.qos, "qos", 0, "0, 1 or 2")
	f.BoolVar(&m.v311, "v311", false, "speak MQTT 3.1.1 instead of 5")
}

// dial connects; an error ends with the exit code for the network, or for
// what is not permitted.
func (m *mqttFlags) dial(ctx context.Context, a *app, onMessage func(*mqtt.Message, func())) (*client.Conn, error) {
	if m.qos < 0 || m.qos > 2 {
		return nil, usageError{fmt.Errorf("--qos %d: 0, 1 or 2", m.qos)}
	}
	cfg := client.Config{
		URL: cmp.Or(m.broker, a.localBroker()), Version: mqtt.V5, Fallback: true, CleanStart: true, ClientID: m.id, Username: m.user,
		KeepAlive: 60 * time.Second, Proxy: m.proxy, OnMessage: onMessage,
	}
	if m.v311 {
		cfg.Version = mqtt.V311
	}
	if cfg.ClientID == "" {
		cfg.ClientID = "fieldgate-" + randomText()
	}
	if a.timeout > 0 {
		cfg.ConnectTimeout = a.timeout
	}
	var err error
	if cfg.Password, err = m.password(); err != nil {
		return nil, err
	}
	if m.caFile != "" {
		if cfg.TLS, err = trust(m.caFile); err != nil {
			return nil, err
		}
	}
	conn, err := client.Dial(ctx, cfg)
	return conn, dialError(err)
}

func (m *mqttFlags) password() (conf.Secret, error) {
	if m.passwordFile == "" {
		return conf.NewSecret(os.Getenv("FIELDGATE_PASSWORD")), nil
	}
	text, err := os.ReadFile(m.passwordFile)
	if err != nil {
		return conf.Secret{}, fmt.Errorf("password: %w", err)
	}
	return conf.NewSecret(strings.TrimRight(string(text), "\r\n")), nil
}

func trust(caFile string) (*tls.Config, error) {
	pem, err := os.ReadFile(caFile)
	if err != nil {
		return nil, fmt.Errorf("--ca-file: %w", err)
	}
	pool := x509.NewCertPool()
	if !pool.AppendCertsFromPEM(pem) {
		return nil, fmt.Errorf("--ca-file %s: there is no PEM certificate in it", caFile)
	}
	return &tls.Config{RootCAs: pool, MinVersion: tls.VersionTLS12}, nil
}

// asFlags turns the keys that a remedy names into what these commands take.
var asFlags = strings.NewReplacer("ca_file", "--ca-file", "client_id", "--id", "version = 4", "--v311")

// dialError adds the remedy and the exit code.
func dialError(err error) error {
	if err == nil {
		return nil
	}
	code := exitNetwork
	var reason mqtt.ReasonCode
	if errors.As(err, &reason) && (reason == mqtt.NotAuthorized || reason == mqtt.BadUserNameOrPassword) {
		code = exitPermission
	}
	var dial *client.DialError
	if errors.As(err, &dial) && dial.Step == client.StepConfig {
		code = exitUsage
	}
	if dial != nil && dial.Remedy != "" {
		return withCode(code, "%w; %s", err, asFlags.Replace(dial.Remedy))
	}
	return codeError{code, err}
}

func randomText() string {
	var b [4]byte
	rand.Read(b[:]) // never fails
	return hex.EncodeToString(b[:])
}

// localBroker is the first listener of the given configuration that needs
// neither TLS nor WebSocket; else where the broker is by default.
func (a *app) localBroker() string {
	const usual = "mqtt://127.0.0.1:1883"
	if a.config == "" {
		return usual
	}
	file, _ := configs.Load(a.configPath(), configs.Options{SkipFiles: true})
	for _, l := range file.Broker.Listener {
		if l.TLS != nil || l.WebSocket != nil {
			continue
		}
		if path, ok := strings.CutPrefix(l.Bind, "unix:"); ok {
			return "unix://" + path
		}
		host, port, err := net.SplitHostPort(l.Bind)
		if err != nil {
			continue
		}
		if ip := net.ParseIP(host); host == "" || ip != nil && ip.IsUnspecified() {
			host = "127.0.0.1"
		}
		return "mqtt://" + net.JoinHostPort(host, port)
	}
	return usual
}

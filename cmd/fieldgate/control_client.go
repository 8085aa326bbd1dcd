package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"fieldgate/web"
)

// defaultSocket is where the service of systemd/fieldgate.service listens.
const defaultSocket = "/run/fieldgate/control.sock"

// maxControlAnswer bounds what a command reads from the gateway: every tag of
// a large plant fits many times over.
const maxControlAnswer = 64 << 20

// remoteError is what the running gateway answered, with the exit code that it
// asks the command to end with.
type remoteError struct {
	Code int    `json:"code"`
	Text string `json:"error"`
}

func (e remoteError) Error() string { return e.Text }

// controlClient talks to the running gateway over its unix socket.
type controlClient struct {
	path string
	http http.Client
}

// dialControl finds the running gateway; the error says where it was looked for.
func (a *app) dialControl(ctx context.Context) (*controlClient, error) {
	var tried []string
	for _, path := range a.socketPaths() {
		c := newControlClient(path)
		err := c.ping(ctx)
		if err == nil {
			return c, nil
		}
		if errors.Is(err, fs.ErrPermission) {
			return nil, withCode(exitPermission, "%s belongs to another user; use sudo, or join the group fieldgate", path)
		}
		tried = append(tried, path)
	}
	return nil, withCode(exitNotRunning, "no gateway is running (no answer at %s); start it with: fieldgate run", strings.Join(tried, ", "))
}

// ask sends one request to the running gateway and decodes the answer into
// result (nil: not wanted). limit is for all of it, unless --timeout says more.
func (a *app) ask(ctx context.Context, limit time.Duration, method, path string, body, result any) error {
	ctx, cancel := a.deadline(ctx, limit)
	defer cancel()
	client, err := a.dialControl(ctx)
	if err != nil {
		return err
	}
	return client.call(ctx, method, path, body, result)
}

// askStatus asks for what the status page shows.
func (a *app) askStatus(ctx context.Context) (s web.Status, err error) {
	err = a.ask(ctx, 5*time.Second, "GET", "/status", nil, &s)
	return s, err
}

// socketPaths lists where the gateway's socket can be: the flag alone, or the
// service's place and the folder of the queue that the file names.
func (a *app) socketPaths() []string {
	if a.socket != "" {
		return []string{a.socket}
	}
	if env := os.Getenv("FIELDGATE_SOCKET"); env != "" {
		return []string{env}
	}
	if a.config != "" {
		if dir := a.bufferDir(); dir != "" {
			return []string{filepath.Join(dir, "control.sock"), defaultSocket}
		}
	}
	return []string{defaultSocket}
}

func newControlClient(path string) *controlClient {
	dial := func(ctx context.Context, _, _ string) (net.Conn, error) {
		var d net.Dialer
		return d.DialContext(ctx, "unix", path)
	}
	return &controlClient{path: path, http: http.Client{Transport: &http.Transport{DialContext: dial, DisableKeepAlives: true}}}
}

func (c *controlClient) ping(ctx context.Context) error {
	var d net.Dialer
	conn, err := d.DialContext(ctx, "unix", c.path)
	if err != nil {
		return err
	}
	return conn.Close()
}

// call sends one request and decodes the answer into result (nil: not wanted).
func (c *controlClient) call(ctx context.Context, method, path string, body, result any) error {
	var in io.Reader
	if body != nil {
		text, err := json.Marshal(body)
		if err != nil {
			return err
		}
		in = bytes.NewReader(text)
	}
	r, err := http.NewRequestWithContext(ctx, method, "http://gateway"+path, in)
	if err != nil {
		return err
	}
	w, err := c.http.Do(r)
	if err != nil {
		if errors.Is(err, context.DeadlineExceeded) {
			return withCode(exitNotRunning, "the gateway at %s does not answer in time", c.path)
		}
		if errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, io.EOF) {
			return withCode(exitNotRunning, "the gateway at %s has gone", c.path)
		}
		return err
	}
	defer w.Body.Close()
	answer := io.LimitReader(w.Body, maxControlAnswer)
	if w.StatusCode != http.StatusOK {
		var e remoteError
		if err := json.NewDecoder(answer).Decode(&e); err != nil || e.Text == "" {
			return fmt.Errorf("the gateway answers %s", w.Status)
		}
		return codeError{e.Code, e}
	}
	if result == nil {
		return nil
	}
	return json.NewDecoder(answer).Decode(result)
}

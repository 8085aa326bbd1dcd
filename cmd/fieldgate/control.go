package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"time"

	"fieldgate/cmd/fieldgate/internal/bench"
	"fieldgate/configs"
	"fieldgate/drivers"
	"fieldgate/web"
)

// maxSocketPath is what fits into a socket's address (unix(7), sun_path).
const maxSocketPath = 107

// maxControlRequest bounds what a command may send.
const maxControlRequest = 1 << 20

// control is the unix socket through which commands reach the running gateway.
// Who may open the socket may write to devices: it is for the gateway's user
// and group only.
type control struct {
	g        *gateway
	listener net.Listener
	server   *http.Server
	reload   func(context.Context) (*configs.Report, error)
}

// listenControl binds the socket. A socket that a killed gateway left behind
// is replaced; one that answers belongs to a gateway that runs.
func listenControl(path string, g *gateway) (*control, error) {
	if err := os.MkdirAll(filepath.Dir(path), 0o750); err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := nobodyAnswers(path); err != nil {
		return nil, err
	}
	if info, err := os.Lstat(path); err == nil {
		if info.Mode()&os.ModeSocket == 0 {
			return nil, fmt.Errorf("control socket %s: a file of another kind is in its place; move it away, or give another path with --socket", path)
		}
		if err := os.Remove(path); err != nil {
			return nil, fmt.Errorf("control socket: %w", err)
		}
	}
	if len(path) > maxSocketPath {
		return nil, fmt.Errorf("control socket %s: a socket's path has at most %d bytes; give a shorter one with --socket", path, maxSocketPath)
	}
	l, err := net.Listen("unix", path)
	if err != nil {
		return nil, fmt.Errorf("control socket: %w", err)
	}
	if err := os.Chmod(path, 0o660); err != nil {
		l.Close()
		return nil, fmt.Errorf("control socket: %w", err)
	}
	c := &control{g: g, listener: l}
	c.server = &http.Server{Handler: c.handler(), ReadHeaderTimeout: 5 * time.Second, ReadTimeout: 30 * time.Second}
	return c, nil
}

// nobodyAnswers is an error where a gateway runs behind the socket already.
func nobodyAnswers(path string) error {
	if path == "" || newControlClient(path).ping(context.Background()) != nil {
		return nil
	}
	return withCode(exitProblems, "a gateway is running already (%s answers); stop it, or give this one another --socket", path)
}

// controlGrace is how long commands under way may take to get their answer at
// the end: the one that asked for a reload by a fresh start is among them.
const controlGrace = time.Second

// run serves until ctx ends.
func (c *control) run(ctx context.Context) error {
	served := make(chan error, 1)
	go func() { served <- c.server.Serve(c.listener) }()
	select {
	case err := <-served:
		return err
	case <-ctx.Done():
	}
	grace, cancel := context.WithTimeout(context.Background(), controlGrace)
	defer cancel()
	_ = c.server.Shutdown(grace) // who takes longer than the grace is cut off
	c.close()
	<-served
	return nil
}

func (c *control) close() {
	c.server.Close()
	c.listener.Close()
}

func (c *control) handler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", answer(func(*http.Request) (any, error) { return c.g.Status(), nil }))
	mux.HandleFunc("GET /plan", answer(func(*http.Request) (any, error) { return c.g.plan(), nil }))
	mux.HandleFunc("GET /bus", answer(c.bus))
	mux.HandleFunc("POST /poll", answer(c.poll))
	mux.HandleFunc("GET /memory", answer(func(*http.Request) (any, error) { return bench.ReadHeap(), nil }))
	mux.HandleFunc("GET /tags", answer(c.tags))
	mux.HandleFunc("POST /owner", answer(c.owner))
	mux.HandleFunc("POST /read", answer(c.read))
	mux.HandleFunc("POST /write", answer(c.write))
	mux.HandleFunc("GET /queue", answer(c.queuePeek))
	mux.HandleFunc("POST /queue/drop", answer(c.queueDrop))
	mux.HandleFunc("POST /queue/retry", answer(c.queueRetry))
	mux.HandleFunc("POST /queue/verify", answer(c.queueVerify))
	mux.HandleFunc("POST /reload", answer(c.reloadNow))
	return mux
}

// answer turns a function into a handler: its result as JSON, or its error
// with the exit code that the command should end with.
func answer(f func(*http.Request) (any, error)) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		r.Body = http.MaxBytesReader(w, r.Body, maxControlRequest)
		doc, err := f(r)
		w.Header().Set("Content-Type", "application/json")
		if err != nil {
			w.WriteHeader(http.StatusUnprocessableEntity)
			doc = remoteError{exitCodeOf(err), err.Error()}
		}
		_ = json.NewEncoder(w).Encode(doc) // the command has gone: nobody to tell
	}
}

// exitCodeOf is the exit code that an error deserves.
func exitCodeOf(err error) int {
	var coded codeError
	if errors.As(err, &coded) {
		return coded.code
	}
	var refused *drivers.CommandError
	if errors.As(err, &refused) {
		if code, ok := refusalCodes[refused.Code]; ok {
			return code
		}
		return exitProblems
	}
	if isUsage(err) {
		return exitUsage
	}
	return deviceExitCode(err)
}

// refusalCodes are the exit codes of refused or failed commands.
var refusalCodes = map[string]int{
	drivers.CodePayload: exitUsage, drivers.CodeType: exitUsage, drivers.CodeRequest: exitUsage,
	drivers.CodeNotWritable: exitPermission, drivers.CodeAboveMax: exitPermission, drivers.CodeBelowMin: exitPermission,
	drivers.CodeStep: exitPermission, drivers.CodeRate: exitPermission,
	drivers.CodeNoAnswer: exitNoAnswer, drivers.CodeUnavailable: exitNoAnswer,
	drivers.CodeException: exitException, drivers.CodeReadBack: exitReadBack,
}

func (c *control) tags(r *http.Request) (any, error) {
	return web.FilterTags(c.g.Tags(), r.URL.Query().Get("match"))
}

func (c *control) reloadNow(r *http.Request) (any, error) { return c.reload(r.Context()) }

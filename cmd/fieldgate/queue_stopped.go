package main

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"fieldgate/buffer"
	"fieldgate/configs"
	"fieldgate/web"
)

// stopped is the queue of a gateway that does not run.
type stopped struct {
	a    *app
	file *configs.File
}

// openStopped finds the directory of a gateway that does not run; found is
// false where the configuration cannot be read or nothing was ever queued.
func (a *app) openStopped() (s stopped, found bool) {
	file, report := configs.Load(a.configPath(), configs.Options{SkipFiles: true})
	if !report.OK() {
		return s, false
	}
	_, err := os.Stat(filepath.Join(file.Buffer.Directory(), "queue.db"))
	return stopped{a, file}, err == nil
}

// ask opens the queue, answers one request as the running gateway would, and
// closes it.
func (s stopped) ask(ctx context.Context, method, path string, result any) (err error) {
	dir := s.file.Buffer.Directory()
	b, err := buffer.Open(s.file.Buffer, buffer.Options{
		GatewayID: s.file.Gateway.ID, Events: func(e buffer.Event) { s.a.say("%s %s", e.Code, e.Text) },
	})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, b.Close(), giveBack(dir)) }()
	if files := b.Unsearched(); len(files) > 0 && method == http.MethodGet {
		s.a.say("messages may lie in %s as well: damaged, moved aside, not searched yet; the gateway puts back what can be read when it runs", strings.Join(files, ", "))
	}
	c := &control{g: &gateway{file: s.file, buffer: b}}
	mux := http.NewServeMux()
	mux.HandleFunc("GET /status", answer(func(*http.Request) (any, error) { return s.status(b), nil }))
	mux.HandleFunc("GET /queue", answer(c.queuePeek))
	mux.HandleFunc("POST /queue/drop", answer(c.queueDrop))
	mux.HandleFunc("POST /queue/verify", answer(c.queueVerify))
	r, err := http.NewRequestWithContext(ctx, method, path, http.NoBody)
	if err != nil {
		return err
	}
	w := &replied{header: http.Header{}, status: http.StatusOK}
	mux.ServeHTTP(w, r)
	if w.status != http.StatusOK {
		var e remoteError
		if err := json.Unmarshal(w.body.Bytes(), &e); err != nil {
			return err
		}
		return codeError{e.Code, e}
	}
	return json.Unmarshal(w.body.Bytes(), result)
}

// status is the part of the status that queue status shows.
func (s stopped) status(b *buffer.Buffer) web.Status {
	var doc web.Status
	stats := b.Stats()
	for _, q := range stats.Upstreams {
		doc.Upstream = append(doc.Upstream, web.Link{Name: q.Name, Queue: webQueue(q)})
	}
	doc.Store = web.Store{Dir: s.file.Buffer.Directory(), State: "the gateway is stopped"}
	doc.Store.FreeBytes = uint64(max(stats.FreeBytes, 0))
	if value, ok, err := b.Get(writtenKey); err == nil && ok {
		var w writtenToday
		w.load(time.Now(), value)
		doc.Store.WrittenToday = w.today(time.Now(), 0)
	}
	return doc
}

// giveBack makes the owner of the directory own what root has made in it, or
// the gateway could not open its queue any more.
func giveBack(dir string) error {
	if os.Geteuid() != 0 {
		return nil
	}
	st, err := os.Stat(dir)
	if err != nil {
		return err
	}
	own, ok := st.Sys().(*syscall.Stat_t)
	if !ok {
		return nil
	}
	list, err := os.ReadDir(dir)
	for _, e := range list {
		err = errors.Join(err, os.Lchown(filepath.Join(dir, e.Name()), int(own.Uid), int(own.Gid)))
	}
	return err
}

// replied takes the answer of a handler in this process.
type replied struct {
	header http.Header
	status int
	body   bytes.Buffer
}

func (r *replied) Header() http.Header         { return r.header }
func (r *replied) WriteHeader(status int)      { r.status = status }
func (r *replied) Write(b []byte) (int, error) { return r.body.Write(b) }

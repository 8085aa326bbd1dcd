package web

import (
	"context"
	"embed"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"log/slog"
	"net"
	"net/http"
	"os"
	"path"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/prometheus/client_golang/prometheus/promhttp"
	"golang.org/x/net/netutil"
)

//go:embed ui
var ui embed.FS

// maxConns bounds the connections of a listener; more wait in the kernel.
const maxConns = 128

// Sources are the functions the page is made of; all are required and must be
// safe for concurrent use.
type Sources struct {
	Status func() Status
	Tags   func() []Tag
	Alive  func() error // nil while every part makes progress
	Ready  func() error // nil once the queue is open and the listeners are bound
	Log    *slog.Logger
}

// Server is the page, its API and the metrics.
type Server struct {
	cfg     Config
	metrics Metrics
	src     Sources
	listen  []net.Listener
	serve   []*http.Server
}

// New makes a server; it touches no socket.
func New(cfg Config, metrics Metrics, src Sources) *Server {
	return &Server{cfg: cfg, metrics: metrics, src: src}
}

// Listen binds the page and, where it has an address of its own, the metrics.
func (s *Server) Listen() error {
	if a := s.cfg.Address(); a != "" {
		if err := s.bind("web", a, s.Handler()); err != nil {
			return err
		}
	}
	if a := s.metrics.Bind; a != "" {
		mux := http.NewServeMux()
		mux.Handle("GET /metrics", s.metricsHandler())
		return s.bind("metrics", a, mux)
	}
	return nil
}

func (s *Server) bind(section, address string, h http.Handler) error {
	l, err := net.Listen("tcp", address)
	if err != nil {
		s.close()
		return fmt.Errorf("[%s] cannot listen on %s: %w; free the port or choose another with bind", section, address, reason(err))
	}
	s.listen = append(s.listen, netutil.LimitListener(l, maxConns))
	s.serve = append(s.serve, &http.Server{
		Handler:           h,
		ReadHeaderTimeout: 5 * time.Second,
		ReadTimeout:       15 * time.Second,
		WriteTimeout:      60 * time.Second, // a probe may take a while, a reader that sleeps may not
		IdleTimeout:       60 * time.Second,
		MaxHeaderBytes:    16 << 10,
		ErrorLog:          slog.NewLogLogger(s.src.Log.Handler(), slog.LevelDebug),
	})
	return nil
}

// reason is the last, telling part of a network error.
func reason(err error) error {
	var op *net.OpError
	if errors.As(err, &op) {
		return op.Err
	}
	return err
}

// Addr is where the page listens, nil when it is off.
func (s *Server) Addr() net.Addr {
	if len(s.listen) == 0 || s.cfg.Address() == "" {
		return nil
	}
	return s.listen[0].Addr()
}

// Run serves until ctx ends. Listen comes first.
func (s *Server) Run(ctx context.Context) error {
	failed := make(chan error, len(s.serve))
	for i, srv := range s.serve {
		go func() { failed <- srv.Serve(s.listen[i]) }()
	}
	var err error
	running := len(s.serve)
	select {
	case <-ctx.Done():
	case err = <-failed:
		running--
	}
	s.close()
	for ; running > 0; running-- {
		<-failed
	}
	if errors.Is(err, http.ErrServerClosed) {
		err = nil
	}
	return err
}

func (s *Server) close() {
	for _, srv := range s.serve {
		srv.Close()
	}
	for _, l := range s.listen {
		l.Close()
	}
}

// Handler is everything that the page's listener serves.
func (s *Server) Handler() http.Handler {
	mux := http.NewServeMux()
	files, err := fs.Sub(ui, "ui")
	if err != nil {
		panic(err) // the folder is embedded
	}
	mux.Handle("GET /", http.FileServerFS(files))
	mux.HandleFunc("GET /api/status", func(w http.ResponseWriter, _ *http.Request) { writeJSON(w, s.src.Status()) })
	mux.HandleFunc("GET /api/tags", s.tags)
	mux.HandleFunc("GET /livez", probe(shared(s.src.Alive)))
	mux.HandleFunc("GET /readyz", probe(s.src.Ready))
	mux.HandleFunc("GET /healthz", s.health)
	mux.Handle("GET /metrics", s.metricsHandler())
	return guard(mux)
}

// guard refuses requests that a foreign page could trick a browser into, by
// its own script or by a name of its own that it lets point here (DNS
// rebinding), and forbids everything that does not come from here.
func guard(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !ownHost(r.Host) {
			http.Error(w, "this page answers by address or by the name of this machine only, not by "+strconv.Quote(r.Host), http.StatusMisdirectedRequest)
			return
		}
		if site := r.Header.Get("Sec-Fetch-Site"); site == "cross-site" && strings.HasPrefix(r.URL.Path, "/api/") {
			http.Error(w, "this API answers its own page only", http.StatusForbidden)
			return
		}
		head := w.Header()
		head.Set("Content-Security-Policy", "default-src 'self'; frame-ancestors 'none'; base-uri 'none'; form-action 'none'")
		head.Set("X-Content-Type-Options", "nosniff")
		head.Set("Referrer-Policy", "no-referrer")
		head.Set("Cache-Control", "no-cache")
		h.ServeHTTP(w, r)
	})
}

// ownHost reports a Host header that cannot be somebody else's domain: an
// address, localhost, or the name of this machine with any domain behind it.
func ownHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.Trim(host, "[]"), "."))
	if host == "localhost" || net.ParseIP(host) != nil {
		return true
	}
	machine, err := os.Hostname()
	if err != nil || machine == "" {
		return false
	}
	machine, _, _ = strings.Cut(strings.ToLower(machine), ".")
	first, _, _ := strings.Cut(host, ".")
	return first == machine
}

func (s *Server) metricsHandler() http.Handler {
	c := collector{status: s.src.Status}
	if s.metrics.Tags {
		c.tags = s.src.Tags
	}
	return promhttp.HandlerFor(registry(c), promhttp.HandlerOpts{})
}

// tags lists the tags whose "device/tag" matches ?match=, a shell pattern.
func (s *Server) tags(w http.ResponseWriter, r *http.Request) {
	tags, err := FilterTags(s.src.Tags(), r.URL.Query().Get("match"))
	if err != nil {
		http.Error(w, err.Error(), http.StatusBadRequest)
		return
	}
	writeJSON(w, struct {
		Schema string `json:"schema"`
		Tags   []Tag  `json:"tags"`
	}{"fieldgate.tags/1", tags})
}

// FilterTags keeps the tags whose "device/tag", device or tag matches a shell
// pattern as "boiler2/*" or "*temp*"; an empty pattern keeps all.
func FilterTags(tags []Tag, pattern string) ([]Tag, error) {
	if pattern == "" {
		return tags, nil
	}
	if _, err := path.Match(pattern, ""); err != nil {
		return nil, fmt.Errorf("pattern %q: %w", pattern, err)
	}
	kept := []Tag{}
	for _, t := range tags {
		for _, name := range []string{t.Device + "/" + t.Tag, t.Device, t.Tag} {
			if ok, _ := path.Match(pattern, name); ok {
				kept = append(kept, t)
				break
			}
		}
	}
	return kept, nil
}

// probeKeep is how long an answer about being alive is good for everybody.
const probeKeep = 2 * time.Second

// shared lets all callers share one check at a time and its answer for a
// moment: the check takes time of every bus, which strangers must not use up.
func shared(check func() error) func() error {
	var mu sync.Mutex
	var at time.Time
	var err error
	return func() error {
		mu.Lock()
		defer mu.Unlock()
		if at.IsZero() || time.Since(at) >= probeKeep {
			err = check()
			at = time.Now()
		}
		return err
	}
}

func probe(check func() error) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "text/plain; charset=utf-8")
		if err := check(); err != nil {
			w.WriteHeader(http.StatusServiceUnavailable)
			fmt.Fprintln(w, err)
			return
		}
		fmt.Fprintln(w, "ok")
	}
}

// health is 200 unless the state is failed: an upstream that is offline is
// degraded, and being offline is normal here.
func (s *Server) health(w http.ResponseWriter, r *http.Request) {
	st := s.src.Status()
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	if st.State == "failed" {
		w.WriteHeader(http.StatusServiceUnavailable)
	}
	fmt.Fprintln(w, st.State)
	if r.URL.Query().Has("verbose") {
		for _, p := range st.Problems {
			fmt.Fprintf(w, "%s %s: %s\n", p.Code, p.Part, p.Text)
		}
	}
}

func writeJSON(w http.ResponseWriter, doc any) {
	w.Header().Set("Content-Type", "application/json")
	enc := json.NewEncoder(w)
	enc.SetEscapeHTML(false)
	_ = enc.Encode(doc) // the reader is gone: nothing left to say it to
}

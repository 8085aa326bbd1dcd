package bench

import (
	"context"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"fieldgate/bridge/netlab"
)

// Wire measures what the bridge costs a link: a gateway in one network
// namespace, a mosquitto in another, between them a cable for each upstream,
// TLS 1.3 with certificates on both sides. What is counted is what passed the
// gateway's end of the cable: packets of IP, both directions.
type Wire struct {
	Mosquitto string        // the program
	Batches   int           // of 60 samples, counted for each format; 0: no format
	Idle      time.Duration // how long idle links are watched
	Keepalive time.Duration // of the idle links
	Progress  func(step string)
}

// WireResult is what passed.
type WireResult struct {
	Formats    []WireFormat `json:"formats"`
	Reconnects []WireEvent  `json:"reconnects"`
	Idle       WireIdle     `json:"idle"`
}

// WireFormat is a format's cost.
type WireFormat struct {
	Format   string  `json:"format"`
	Compress string  `json:"compress"`
	Batch    int     `json:"batch"` // samples of a message
	Samples  int64   `json:"samples"`
	Messages int64   `json:"messages"`
	Payload  float64 `json:"payload_bytes_per_sample"` // topic and payload
	Bytes    float64 `json:"bytes_per_sample"`         // of IP, both ways
}

// WireEvent is the cost of something that happens to a link.
type WireEvent struct {
	What  string `json:"what"`
	Bytes int64  `json:"bytes"`
}

// WireIdle is a link that nothing but keep-alives goes over.
type WireIdle struct {
	Seconds   float64 `json:"seconds"`
	Keepalive float64 `json:"keepalive_s"`
	Bytes     int64   `json:"bytes"`
	Pings     int64   `json:"pings"` // three packets each
	PerPing   float64 `json:"bytes_per_ping"`
	Month     float64 `json:"bytes_per_month"` // 30 days at the longest silence
}

// LongestSilence is what the adaptive keep-alive grows to by default.
const LongestSilence = 20 * time.Minute

const month = 30 * 24 * time.Hour

// WireBatch is how many samples a batch holds.
const WireBatch = 60

// wireCase is an upstream that the cost is measured of.
type wireCase struct {
	name, format, compress string
	batch                  int
	lines                  string // of the upstream's section beside
	route                  string // local topics; default all values
}

// wireCases are all formats; those that pack many samples with every compression.
func wireCases() (all []wireCase) {
	all = append(all, wireCase{format: "json", compress: "none", batch: 1}, wireCase{format: "value", compress: "none", batch: 1})
	for _, format := range []string{"json", "group", "columns", "influx", "senml", "senml-cbor", "template"} {
		for _, compress := range []string{"none", "gzip", "zstd"} {
			all = append(all, wireCase{format: format, compress: compress, batch: WireBatch})
		}
	}
	all = append(all, wireCase{format: "columns", compress: "gzip", batch: 10 * WireBatch})
	for i := range all {
		all[i].name = fmt.Sprintf("%s-%s-%d", all[i].format, all[i].compress, all[i].batch)
		all[i].lines = "metered = true\n"
	}
	return all
}

// quietCases are upstreams that no value goes to. The connections live too
// briefly here to learn a longer silence.
func (w Wire) quietCases() []wireCase {
	keep := func(d time.Duration) string { return fmt.Sprintf("keepalive = %q\nkeepalive_max = %q\n", d, d) }
	soon := keep(10 * time.Second) // a ping tells that the link was cut
	return []wireCase{
		{name: "idle", route: "nothing/#", lines: "metered = true\n" + keep(w.Keepalive)},
		{name: "metered", route: "nothing/#", lines: "metered = true\n" + soon},
		{name: "default", route: "nothing/#", lines: soon},
	}
}

// wireBench is a run.
type wireBench struct {
	w        Wire
	rig      *rig
	up       *netlab.Space
	cables   map[string]*netlab.Cable
	cases    []wireCase
	pki      wireKeys
	upstream *Child
	gateway  *Child
}

// Run measures. It needs what netlab.Missing names.
func (w Wire) Run(ctx context.Context) (res WireResult, err error) {
	r, err := newRig("")
	if err != nil {
		return res, err
	}
	b := &wireBench{w: w, rig: r, cables: map[string]*netlab.Cable{}, cases: w.quietCases()}
	if w.Batches > 0 {
		b.cases = append(b.cases, wireCases()...)
	}
	defer b.close()
	w.Progress("two namespaces and a cable for each format")
	if err := b.start(ctx); err != nil {
		return res, err
	}
	w.Progress(fmt.Sprintf("%d batches of %d samples in each format", w.Batches, WireBatch))
	if res.Formats, err = b.formats(ctx); err != nil {
		return res, err
	}
	w.Progress(fmt.Sprintf("idle links for %s", w.Idle))
	if res.Idle, err = b.idle(ctx); err != nil {
		return res, err
	}
	w.Progress("reconnect")
	res.Reconnects, err = b.reconnects(ctx)
	return res, err
}

func (b *wireBench) close() {
	_ = b.rig.close() // a temporary directory
	if b.up != nil {
		b.up.Close()
	}
}

func (b *wireBench) start(ctx context.Context) (err error) {
	if b.pki, err = newWireKeys(b.rig.dir); err != nil {
		return fmt.Errorf("make certificates: %w", err)
	}
	if b.up, err = netlab.New(); err != nil {
		return err
	}
	for i, c := range b.cases {
		if b.cables[c.name], err = netlab.Join(netlab.Here(), b.up, i+1); err != nil {
			return err
		}
	}
	if err := b.startUpstream(); err != nil {
		return err
	}
	plc, err := freeAddress()
	if err != nil {
		return err
	}
	file, err := b.rig.file("sim.toml", wireSimulation(plc))
	if err != nil {
		return err
	}
	sim, err := b.rig.add(startSelf("sim", "-q", file))
	if err == nil {
		err = sim.ready(ctx, plc)
	}
	if err != nil {
		return err
	}
	if b.gateway, err = b.rig.runGateway("gateway", b.gatewayConfig(plc)); err != nil {
		return err
	}
	return b.online(ctx)
}

func (b *wireBench) startUpstream() error {
	conf := strings.Join([]string{"user root", "log_type error", "persistence false", "listener 8883 0.0.0.0", "allow_anonymous true",
		"cafile " + b.pki.ca, "certfile " + b.pki.serverCert, "keyfile " + b.pki.serverKey, "require_certificate true", ""}, "\n")
	path, err := b.rig.file("mosquitto.conf", conf)
	if err != nil {
		return err
	}
	words := b.up.Args(b.w.Mosquitto, "-c", path)
	b.upstream, err = b.rig.add(startChild(words[0], words[1:]...))
	return err
}

// wirePoint is a tag of the meter and how it moves: slowly, as in a plant whose
// load changes within minutes, but at nearly every poll.
type wirePoint struct {
	name             string
	low, high, scale float64
	period           time.Duration
}

// wirePoints is the plant: ten tags, read once a second.
var wirePoints = []wirePoint{
	{"voltage_l1", 228.6, 232.4, 0.1, 47 * time.Second},
	{"voltage_l2", 229.1, 232.7, 0.1, 53 * time.Second},
	{"voltage_l3", 228.2, 231.9, 0.1, 59 * time.Second},
	{"current_l1", 10.80, 14.30, 0.01, 67 * time.Second},
	{"current_l2", 10.10, 13.90, 0.01, 71 * time.Second},
	{"current_l3", 11.20, 14.80, 0.01, 73 * time.Second},
	{"power", 8100, 9700, 1, 79 * time.Second},
	{"frequency", 49.95, 50.05, 0.01, 61 * time.Second},
	{"water_temp", 68.5, 74.5, 0.1, 97 * time.Second},
	{"pressure", 2.20, 2.60, 0.01, 83 * time.Second},
}

// wireSimulation is the file of `fieldgate sim`.
func wireSimulation(address string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "[[plc]]\nname = \"meter\"\nbind = %q\npoints = [\n", address)
	for i, p := range wirePoints {
		fmt.Fprintf(&s, "  { name = %q, reg = \"h%d:uint16\", wave = \"sine\", min = %g, max = %g, scale = %g, period = %q },\n", p.name, i, p.low, p.high, p.scale, p.period)
	}
	return s.String() + "]\n"
}

func (b *wireBench) gatewayConfig(plc string) string {
	var s strings.Builder
	fmt.Fprintf(&s, "[gateway]\nid = \"plant7-gw01\"\n[buffer]\ndir = %q\nmin_free = \"1MiB\"\n[web]\nbind = \"\"\n[publish]\ntopic = \"acme/line2/{device}/{tag}\"\n", filepath.Join(b.rig.dir, "data"))
	fmt.Fprintf(&s, "[[broker.listener]]\nname = \"bench\"\nbind = \"127.0.0.1:1883\"\nallow_anonymous = true\n")
	fmt.Fprintf(&s, "[[bus]]\nname = \"plc\"\ntcp = %q\n[[device]]\nname = \"meter\"\nbus = \"plc\"\npoll = \"1s\"\ntags = [\n", plc)
	for i, p := range wirePoints {
		fmt.Fprintf(&s, "  { name = %q, reg = \"h%d:uint16\", scale = %g, report = \"poll\" },\n", p.name, i, p.scale)
	}
	s.WriteString("]\n")
	for _, c := range b.cases {
		s.WriteString(b.upstreamConfig(c))
	}
	return s.String()
}

func (b *wireBench) upstreamConfig(c wireCase) string {
	var s strings.Builder
	fmt.Fprintf(&s, "[[upstream]]\nname = %q\nurl = \"mqtts://%s:8883\"\nclient_id = \"{gateway}-%s\"\n%s", c.name, b.cables[c.name].Far(), c.name, c.lines)
	fmt.Fprintf(&s, "connect = { backoff_min = \"3s\", spread = \"1s\" }\n")
	fmt.Fprintf(&s, "tls = { ca_file = %q, cert_file = %q, key_file = %q, server_name = \"mqtt.example.com\" }\n", b.pki.ca, b.pki.clientCert, b.pki.clientKey)
	if c.route != "" {
		return s.String() + fmt.Sprintf("[[upstream.route]]\nfrom = %q\n", c.route)
	}
	fmt.Fprintf(&s, "[[upstream.route]]\nfrom = \"acme/#\"\nformat = %q\ntypes = [\"sample\"]\n", c.format)
	if c.format == "template" {
		s.WriteString("template = '''[{{range $i, $s := .Samples}}{{if $i}},{{end}}{\"tag\":\"{{.Tag}}\",\"v\":{{.Value}},\"t\":{{.Ms}}}{{end}}]'''\n")
	}
	if c.batch > 1 {
		fmt.Fprintf(&s, "to = \"factory/{gateway}/line2/values\"\nbatch = { max_samples = %d, max_bytes = \"64KiB\", max_wait = \"1h\" }\ncompress = %q\n", c.batch, c.compress)
	}
	return s.String()
}

// wireLink is what `fieldgate upstream list --json` says about an upstream.
type wireLink struct {
	Name     string
	State    string
	Reason   string
	Connects int64
	Sent     int64
	Acked    int64
	BytesOut int64 `json:"bytes_out"`
}

// links asks the gateway.
func (b *wireBench) links() (map[string]wireLink, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, fmt.Errorf("find this program: %w", err)
	}
	out, err := exec.Command(self, "upstream", "list", "--json", "--socket", filepath.Join(b.rig.dir, "gateway.sock")).Output()
	if err != nil {
		return nil, fmt.Errorf("ask the gateway for its upstreams: %w", err)
	}
	var doc struct{ Upstreams []wireLink }
	if err := json.Unmarshal(out, &doc); err != nil {
		return nil, fmt.Errorf("read the list of upstreams: %w", err)
	}
	all := map[string]wireLink{}
	for _, l := range doc.Upstreams {
		all[l.Name] = l
	}
	return all, nil
}

// online waits until all upstreams are.
func (b *wireBench) online(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, 60*time.Second)
	defer cancel()
	for {
		all, err := b.links()
		waits := ""
		for _, c := range b.cases {
			if all[c.name].State != "online" {
				waits = c.name + " is " + all[c.name].State + ": " + all[c.name].Reason
			}
		}
		if err == nil && waits == "" {
			return nil
		}
		if wait := b.gateway.wait(ctx, 100*time.Millisecond); wait != nil {
			return fmt.Errorf("wait for the upstreams (%s, %v): %w", waits, err, wait)
		}
	}
}

// wireMark is how far an upstream has come.
type wireMark struct {
	link  wireLink
	count netlab.Count
}

// mark reads one upstream's counters in a moment in which they stand still:
// nothing was sent and nothing is on its way.
func (b *wireBench) mark(ctx context.Context, name string) (wireMark, error) {
	for {
		before, err := b.cables[name].Count()
		if err != nil {
			return wireMark{}, err
		}
		if err := b.gateway.wait(ctx, 150*time.Millisecond); err != nil {
			return wireMark{}, err
		}
		all, err := b.links()
		if err != nil {
			return wireMark{}, err
		}
		after, err := b.cables[name].Count()
		if err != nil {
			return wireMark{}, err
		}
		if before == after {
			return wireMark{all[name], after}, nil
		}
	}
}

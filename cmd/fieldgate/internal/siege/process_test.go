package siege

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"
)

// clockTick is the unit of the times in /proc/PID/stat.
const clockTick = 10 * time.Millisecond

// usage is what the gateway's process and its files take.
type usage struct {
	rss      int64 // bytes
	cpu      time.Duration
	files    int   // descriptors
	wal      int64 // bytes of both logs
	freelist int64 // empty pages of queue.db
}

func (g *gateway) usage() (u usage) {
	g.t.Helper()
	proc := fmt.Sprintf("/proc/%d", g.proc.Cmd.Process.Pid)
	status := g.read(proc + "/status")
	for line := range strings.Lines(string(status)) {
		if text, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			fmt.Sscan(text, &u.rss)
			u.rss <<= 10
		}
	}
	stat := g.read(proc + "/stat")
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	for _, f := range fields[11:13] {
		n, err := strconv.Atoi(f)
		if err != nil {
			g.t.Fatal(err)
		}
		u.cpu += time.Duration(n) * clockTick
	}
	list, err := os.ReadDir(proc + "/fd")
	if err != nil {
		g.t.Fatal(err)
	}
	u.files = len(list)
	for _, name := range []string{"queue.db-wal", "state.db-wal"} {
		if st, err := os.Stat(filepath.Join(g.state(), name)); err == nil {
			u.wal += st.Size()
		}
	}
	if f, err := os.Open(filepath.Join(g.state(), "queue.db")); err == nil {
		head := make([]byte, 40)
		if _, err := f.ReadAt(head, 0); err == nil {
			u.freelist = int64(binary.BigEndian.Uint32(head[36:])) // SQLite file format, 1.3
		}
		f.Close()
	}
	return u
}

func (g *gateway) read(path string) []byte {
	g.t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		g.t.Fatalf("%v\n%s", err, g.proc.Everything())
	}
	return b
}

// spoil overwrites pages in the middle of a file, and its header.
func spoil(t *testing.T, path string) {
	t.Helper()
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		t.Fatal(err)
	}
	rubbish := bytes.Repeat([]byte("rubbish!"), 1024)
	for _, at := range []int64{0, st.Size() / 2 &^ 4095} {
		if _, err := f.WriteAt(rubbish[:min(int64(len(rubbish)), max(st.Size()-at, 4096))], at); err != nil {
			t.Fatal(err)
		}
	}
}

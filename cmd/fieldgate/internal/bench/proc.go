package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"
)

// clockTick is the unit of the times in /proc/PID/stat. The kernel fixes it at
// 100 per second for user space on every architecture that Go knows.
const clockTick = 10 * time.Millisecond

// cpuTime is the user and system time of a process so far, in steps of 10 ms.
func cpuTime(pid int) (time.Duration, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
	if err != nil {
		return 0, fmt.Errorf("processor time of process %d: %w", pid, err)
	}
	d, err := parseStat(b)
	if err != nil {
		return 0, fmt.Errorf("/proc/%d/stat: %w", pid, err)
	}
	return d, nil
}

// parseStat reads fields 14 and 15, proc(5). The name in field 2 may hold
// spaces and brackets, so counting begins after the last one.
func parseStat(b []byte) (time.Duration, error) {
	i := bytes.LastIndexByte(b, ')')
	if i < 0 {
		return 0, errors.New("no name in brackets")
	}
	f := strings.Fields(string(b[i+1:]))
	if len(f) < 13 {
		return 0, fmt.Errorf("%d fields after the name", len(f))
	}
	user, err := strconv.ParseUint(f[11], 10, 63)
	if err != nil {
		return 0, fmt.Errorf("user time: %w", err)
	}
	system, err := strconv.ParseUint(f[12], 10, 63)
	if err != nil {
		return 0, fmt.Errorf("system time: %w", err)
	}
	return time.Duration(user+system) * clockTick, nil
}

// Memory is what a process holds, in bytes.
type Memory struct {
	RSS  int64 `json:"rss"`      // all resident pages
	Anon int64 `json:"rss_anon"` // those that are its own: without the program's file
	Peak int64 `json:"peak"`     // the largest RSS so far
}

func memory(pid int) (Memory, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return Memory{}, fmt.Errorf("memory of process %d: %w", pid, err)
	}
	m, err := parseStatus(b)
	if err != nil {
		return m, fmt.Errorf("/proc/%d/status: %w", pid, err)
	}
	return m, nil
}

func parseStatus(b []byte) (m Memory, err error) {
	seen := 0
	for line := range strings.Lines(string(b)) {
		key, value, _ := strings.Cut(line, ":")
		var to *int64
		switch key {
		case "VmRSS":
			to = &m.RSS
		case "RssAnon":
			to = &m.Anon
		case "VmHWM":
			to = &m.Peak
		default:
			continue
		}
		n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(value), " kB"), 10, 54)
		if err != nil {
			return m, fmt.Errorf("%s: %w", key, err)
		}
		*to = n << 10
		seen++
	}
	if seen < 3 {
		return m, errors.New("VmRSS, RssAnon or VmHWM is missing")
	}
	return m, nil
}

// cpuMeter measures the processor time that a process spends from now on.
type cpuMeter struct {
	pid   int
	began time.Duration
	at    time.Time
}

func meterCPU(pid int) (cpuMeter, error) {
	began, err := cpuTime(pid)
	return cpuMeter{pid, began, time.Now()}, err
}

// read is the processor time since the start, and the time that went by.
func (m cpuMeter) read() (used, elapsed time.Duration, err error) {
	now, err := cpuTime(m.pid)
	return now - m.began, time.Since(m.at), err
}

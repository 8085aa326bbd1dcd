package port

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
)

// Holder is a process that has a port open.
type Holder struct {
	PID     int
	Command string
}

// String is for messages: "minicom (process 4711)".
func (h Holder) String() string {
	if h.PID == os.Getpid() {
		return "this program itself"
	}
	return fmt.Sprintf("%s (process %d)", h.Command, h.PID)
}

// Holders lists who has the device node open, as far as /proc may be read:
// without privileges only processes of the same user are seen.
func Holders(path string) []Holder {
	resolved, err := filepath.EvalSymlinks(path)
	if err != nil {
		return nil
	}
	return holders("/proc", resolved)[resolved]
}

// holders reads every process' open files once and returns who has which of
// the wanted paths.
func holders(proc string, wanted ...string) map[string][]Holder {
	found := map[string][]Holder{}
	procs, err := os.ReadDir(proc)
	if err != nil {
		return found
	}
	for _, p := range procs {
		pid, err := strconv.Atoi(p.Name())
		if err != nil {
			continue
		}
		dir := filepath.Join(proc, p.Name(), "fd")
		fds, err := os.ReadDir(dir)
		if err != nil {
			continue // another user's, or it has just ended
		}
		seen := map[string]bool{}
		for _, fd := range fds {
			target, err := os.Readlink(filepath.Join(dir, fd.Name()))
			if err != nil || seen[target] || !among(target, wanted) {
				continue
			}
			seen[target] = true
			found[target] = append(found[target], Holder{PID: pid, Command: commandOf(proc, p.Name())})
		}
	}
	return found
}

func among(target string, wanted []string) bool {
	for _, w := range wanted {
		if target == w {
			return true
		}
	}
	return false
}

func commandOf(proc, pid string) string {
	b, err := os.ReadFile(filepath.Join(proc, pid, "comm"))
	if err != nil {
		return "a program"
	}
	return string(bytes.TrimSpace(b))
}

// otherHolder is the process to blame for a busy port; a holder other than
// ourselves first.
func otherHolder(resolved string) *Holder {
	all := holders("/proc", resolved)[resolved]
	for i := range all {
		if all[i].PID != os.Getpid() {
			return &all[i]
		}
	}
	if len(all) > 0 {
		return &all[0]
	}
	return nil
}

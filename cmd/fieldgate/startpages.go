package main

import (
	"bufio"
	"context"
	"fmt"
	"log/slog"
	"os"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// startTakes is how long after the start of all parts the pages of the start
// are let go: by then everything has connected, and has published its state.
const startTakes = 2 * time.Second

// forgetStart calls forgetStartPages when the start is over, unless ctx ends before.
func forgetStart(ctx context.Context, log *slog.Logger) {
	select {
	case <-ctx.Done():
		return
	case <-time.After(startTakes):
	}
	if _, err := forgetStartPages(); err != nil {
		log.Debug("the pages of the start stay in memory", "error", err)
	}
}

// forgetStartPages takes the pages of the program's file that only the start
// has needed (initial tables of packages, the reading of the configuration, the
// opening of the database) out of this process. They stay in the page cache,
// and what is used again is mapped again at once, without the disk. Only
// mappings that cannot be written are touched. It returns how many bytes those
// span; an error means that the process keeps its pages, nothing else.
func forgetStartPages() (span uint64, err error) {
	self, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return 0, fmt.Errorf("find the program's file: %w", err)
	}
	maps, err := os.Open("/proc/self/maps")
	if err != nil {
		return 0, fmt.Errorf("read what is mapped: %w", err)
	}
	defer maps.Close()
	lines := bufio.NewScanner(maps)
	for lines.Scan() {
		begin, end, ok := readOnlyMapping(lines.Text(), self)
		if !ok {
			continue
		}
		if _, _, errno := unix.Syscall(unix.SYS_MADVISE, begin, end-begin, unix.MADV_DONTNEED); errno != 0 {
			return span, fmt.Errorf("forget pages of %s: %w", self, errno)
		}
		span += uint64(end - begin)
	}
	return span, lines.Err()
}

// readOnlyMapping reads a line of /proc/PID/maps, proc(5). ok: it is a part of
// the file at path that cannot be written.
func readOnlyMapping(line, path string) (begin, end uintptr, ok bool) {
	var mode string
	if _, err := fmt.Sscanf(line, "%x-%x %s", &begin, &end, &mode); err != nil || begin >= end {
		return 0, 0, false
	}
	readOnly := len(mode) == 4 && mode[0] == 'r' && mode[1] == '-' && mode[3] == 'p'
	return begin, end, readOnly && strings.HasSuffix(line, " "+path)
}

package main

import (
	"io/fs"
	"syscall"
)

// ownerOf is the user and group of a file, -1 where they cannot be known.
func ownerOf(info fs.FileInfo) (uid, gid int) {
	s, ok := info.Sys().(*syscall.Stat_t)
	if !ok {
		return -1, -1
	}
	return int(s.Uid), int(s.Gid)
}

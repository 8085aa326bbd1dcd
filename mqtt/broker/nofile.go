package broker

import "golang.org/x/sys/unix"

// reservedFiles is what the rest of the gateway may hold open: buses, serial
// ports, links, the page, the database.
const reservedFiles = 128

// openFiles raises the soft limit on open files to the hard one and returns
// what is in force. The runtime does so at the start of the process; after
// that somebody may have lowered it. 0: unknown.
func openFiles() int {
	var limit unix.Rlimit
	if err := unix.Getrlimit(unix.RLIMIT_NOFILE, &limit); err != nil {
		return 0
	}
	if limit.Cur < limit.Max {
		raised := unix.Rlimit{Cur: limit.Max, Max: limit.Max}
		if err := unix.Setrlimit(unix.RLIMIT_NOFILE, &raised); err == nil {
			limit = raised
		}
	}
	return int(min(limit.Cur, 1<<30))
}

// fitClients is how many clients can be connected where so many files may be
// open, each client being one: want, or fewer.
func fitClients(want, files int) int {
	switch {
	case files == 0:
		return want
	case files <= 2*reservedFiles: // a strange box: half of the little there is
		return max(1, min(want, files/2))
	}
	return min(want, files-reservedFiles)
}

// fit makes the limits ones that the process can keep, and says so.
func (b *Broker) fit(set *settings) {
	files := openFiles()
	fits := fitClients(set.maxClients, files)
	if fits < set.maxClients {
		b.log.Warn("max_clients is more than the process may have open; raise LimitNOFILE of the service (ulimit -n), or lower it",
			"max_clients", set.maxClients, "in_force", fits, "open_files", files)
		set.maxClients = fits
	}
	set.maxOpen = 2*set.maxClients + 64
	if files > 0 {
		set.maxOpen = max(set.maxClients, min(set.maxOpen, files-reservedFiles/2))
	}
}

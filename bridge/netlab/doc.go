// Package netlab builds networks of this machine's own kernel to measure and
// test on: namespaces, joined by virtual cables that can be narrow, lossy,
// silent, or answer with resets.
//
// It runs ip and tc (iproute2), nft (nftables) and nsenter (util-linux), needs
// root, and leaves nothing behind: a namespace lives as long as a process
// holds it, and its holder dies with the process that made it.
package netlab
